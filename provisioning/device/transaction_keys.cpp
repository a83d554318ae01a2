// SPDX-License-Identifier: Apache-2.0
#include "provisioning/device/transaction_keys.h"

#include "provisioning/protocol/framing.h"
#include "provisioning/protocol/key_messages.h"
#include "provisioning/protocol/transaction_key.h"

#include <openssl/evp.h>

namespace imprint::device {

namespace {

constexpr int most_keys = 4; // addresses
constexpr std::size_t most_fortunes = 64;

std::int64_t now_in_seconds()
{
    return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()).time_since_epoch().count();
}

Bytes digest_of_key(const pki::Certificate& certificate)
{
    const Bytes spki = certificate.spki();
    Bytes digest(32);
    if (EVP_Q_digest(nullptr, "SHA256", nullptr, spki.data(), spki.size(), digest.data(), nullptr) != 1)
        throw openssl_error(Reason::internal, "cannot hash a key");
    return digest;
}

Bytes receive(tls::Stream& stream, tls::Deadline deadline)
{
    const Bytes header = stream.read(4, deadline);
    const auto size = protocol::announced_length({header[0], header[1], header[2], header[3]}).or_throw();
    return stream.read(size, deadline);
}

} // namespace

TransactionKeys::TransactionKeys(tpm::Worker& worker, const lifecycle::Store& store, std::string chip_identifier,
                                 std::uint64_t epoch)
    : worker_(worker)
    , store_(store)
    , epoch_(epoch)
    , keys_(store.transaction_keys(epoch))
{
    if (keys_.chip_identifier() != chip_identifier)
        keys_.clear_keys();
    keys_.set_chip_identifier(std::move(chip_identifier));
    keys_.set_sequence(epoch);
}

const lifecycle::TransactionKey* TransactionKeys::find(const std::string& address,
                                                       const std::vector<Bytes>& central_keys) const
{
    for (const auto& key : keys_.keys())
        if (key.address() == address && key.not_after() > now_in_seconds() &&
            std::ranges::find(central_keys, to_bytes(key.central_key())) != central_keys.end())
            return &key;
    return nullptr;
}

std::optional<tls::PreSharedKey> TransactionKeys::offer(const std::string& address,
                                                        const std::vector<Bytes>& central_keys)
{
    lifecycle::TransactionKey key;
    {
        const std::lock_guard lock(mutex_);
        const auto* found = find(address, central_keys);
        if (found == nullptr)
            return std::nullopt;
        key = *found;
    }
    Bytes identity = protocol::new_psk_identity(as_bytes(key.key_id()));
    try {
        Secret secret = holder().hmac(as_bytes(key.object()), as_bytes(key.sensitive()), protocol::psk_input(identity));
        return tls::PreSharedKey{std::move(identity), std::move(secret)};
    } catch (const Error& error) {
        // Blobs that the TPM does not take are of no use; whatever else is wrong, the module key will tell.
        if (error.reason() == Reason::tpm_refused)
            turned_down(address, identity);
        return std::nullopt;
    }
}

void TransactionKeys::taken(const std::string& address)
{
    const std::lock_guard lock(mutex_);
    fortunes_[address].failures = 0;
}

void TransactionKeys::turned_down(const std::string& address, BytesView identity)
{
    const auto id = protocol::key_id_of(identity);
    const std::lock_guard lock(mutex_);
    const auto same = [&](const auto& key) {
        return key.address() == address && id && equal(as_bytes(key.key_id()), *id);
    };
    if (std::ranges::none_of(keys_.keys(), same)) // another connection has replaced it meanwhile
        return;
    remove(address);
    failed(fortunes_[address]);
    store_.save(keys_);
}

void TransactionKeys::remove(const std::string& address)
{
    for (int i = keys_.keys_size(); i-- > 0;)
        if (keys_.keys(i).address() == address)
            keys_.mutable_keys()->DeleteSubrange(i, 1);
}

// The first time costs nothing; then a minute, two, and so on up to an hour.
void TransactionKeys::failed(Fortune& fortune) const
{
    constexpr std::chrono::minutes longest(60);
    const auto pause = std::min(longest, std::chrono::minutes((1 << std::min(fortune.failures, 6U)) / 2));
    fortune.not_before = std::chrono::steady_clock::now() + pause;
    ++fortune.failures;
}

bool TransactionKeys::begin(const std::string& address, const std::vector<Bytes>& central_keys)
{
    const std::lock_guard lock(mutex_);
    const auto* key = find(address, central_keys);
    if (key != nullptr && key->rotate_after() > now_in_seconds())
        return false;
    if (fortunes_.size() >= most_fortunes && !fortunes_.contains(address))
        return false;
    auto& fortune = fortunes_[address];
    if (fortune.under_way || std::chrono::steady_clock::now() < fortune.not_before)
        return false;
    fortune.under_way = true;
    return true;
}

void TransactionKeys::end(const std::string& address, bool succeeded)
{
    const std::lock_guard lock(mutex_);
    auto& fortune = fortunes_[address];
    fortune.under_way = false;
    if (!succeeded) {
        fortune.failures = std::max(fortune.failures, 1U); // no connection needs it urgently
        failed(fortune);
    }
}

KeyHolder TransactionKeys::holder()
{
    return {[this](const structures::Importable& importable) {
                return worker_.call([&](tpm::SecurityModule& module) {
                    tpm::SecurityModule::Work work(module);
                    work.last();
                    return work.import(importable);
                });
            },
            [this](BytesView object, BytesView sensitive, BytesView input) {
                return worker_.call([&](tpm::SecurityModule& module) {
                    return module.hmac_with_transaction_key(object, sensitive, epoch_, input);
                });
            }};
}

KeySession::Situation TransactionKeys::situation(const tls::Stream& stream)
{
    KeySession::Situation situation;
    worker_.call([&](tpm::SecurityModule& module) {
        situation.storage_key = module.storage_key();
        situation.epoch_index_name = module.epoch_index_name();
    });
    situation.odd_epoch = epoch_;
    situation.channel_binding = stream.channel_binding();
    situation.now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    return situation;
}

Bytes TransactionKeys::establish(tls::Stream& stream, const std::string& address, tls::Deadline deadline)
{
    KeySession session(situation(stream), holder());
    for (Bytes message = session.request(); !message.empty();) {
        stream.write(protocol::frame(message), deadline);
        auto next = session.take(receive(stream, deadline));
        if (!next) {
            stream.write(protocol::frame(protocol::serialize(protocol::key_refused(next.refusal()))), deadline);
            throw Error(next.refusal());
        }
        message = *std::move(next);
    }
    auto key = session.key();
    key.set_address(address);
    key.set_central_key(to_string(digest_of_key(stream.peer())));
    const std::lock_guard lock(mutex_);
    remove(address);
    if (keys_.keys_size() >= most_keys)
        keys_.mutable_keys()->DeleteSubrange(0, 1);
    *keys_.add_keys() = std::move(key);
    store_.save(keys_);
    return session.central_set();
}

} // namespace imprint::device
