// SPDX-License-Identifier: Apache-2.0
#include "provisioning/central/key_session.h"

#include "daemon/structures/marshal.h"
#include "daemon/structures/name.h"
#include "daemon/structures/templates.h"
#include "daemon/structures/wrap.h"
#include "provisioning/protocol/framing.h"
#include "provisioning/protocol/transaction_key.h"

#include <openssl/crypto.h>

namespace imprint::central {

namespace {

constexpr std::uint32_t version = 1;

// The key that the station certified for this chip, and no other one: what is wrapped for it stays in this TPM.
Result<TPMT_PUBLIC> check_storage_key(BytesView bytes, const pki::ModuleBinding& binding)
{
    const auto area = structures::unmarshal<TPMT_PUBLIC>(bytes);
    if (!area)
        return area.refusal();
    if (!structures::is_storage_key(*area))
        return Refusal{Reason::storage_key_invalid, "the storage key does not follow the published template"};
    if (structures::name_of(*area) != binding.storage_key_name)
        return Refusal{Reason::storage_key_invalid, "the module certificate names another storage key"};
    return *area;
}

std::int64_t seconds(pki::Time time) { return time.time_since_epoch().count(); }

protocol::KeyMessage grant_of(const NewKey& key, const TPMT_PUBLIC& storage_key, const pki::ModuleBinding& binding,
                              BytesView central_set)
{
    const auto wrapped =
        structures::wrap(storage_key, protocol::transaction_key_area(binding.epoch_index_name, binding.epoch), key.key);
    protocol::KeyMessage message;
    auto& grant = *message.mutable_grant();
    grant.set_key_id(to_string(key.row.id));
    grant.set_object(to_string(wrapped.object));
    grant.set_duplicate(to_string(wrapped.duplicate));
    grant.set_seed(to_string(wrapped.seed));
    grant.set_rotate_after(seconds(key.row.rotate_after));
    grant.set_not_after(seconds(key.row.not_after));
    if (!central_set.empty())
        grant.set_central_set(to_string(central_set));
    return message;
}

bool same(BytesView a, BytesView b) { return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0; }

KeyAnswer refuse(const Refusal& why)
{
    return {.message = protocol::serialize(protocol::key_refused(why)), .last = true, .refused = why, .made = {}};
}

} // namespace

KeySession::KeySession(const KeyOffice& office, pki::Certificates chain, Bytes channel_binding, Bytes central_set)
    : office_(office)
    , chain_(std::move(chain))
    , channel_binding_(std::move(channel_binding))
    , central_set_(std::move(central_set))
{
}

KeyAnswer KeySession::receive(BytesView bytes, pki::Time now)
{
    const Step step = std::exchange(step_, Step::over); // unless what comes now is right
    try {
        const auto message = protocol::parse_key_message(bytes);
        return message ? dispatch(step, *message, now) : refuse(message.refusal());
    } catch (const Error& error) {
        KeyAnswer answer = refuse({error.reason(), "the central system could not do it"});
        answer.refused = error.refusal();
        return answer;
    } catch (const std::exception& error) {
        KeyAnswer answer = refuse({Reason::internal, "the central system could not do it"});
        answer.refused = Refusal{Reason::internal, error.what()};
        return answer;
    }
}

KeyAnswer KeySession::reject(const Refusal& why)
{
    step_ = Step::over;
    return refuse(why);
}

KeyAnswer KeySession::dispatch(Step step, const protocol::KeyMessage& message, pki::Time now)
{
    if (message.has_refused())
        return {.message = {}, .last = true, .refused = protocol::refusal_of(message.refused()), .made = {}};
    if (step == Step::request && message.has_request())
        return on_request(message.request(), now);
    if (step == Step::confirm && message.has_confirm())
        return on_confirm(message.confirm());
    return refuse({Reason::unexpected_message, "this message is not due"});
}

KeyAnswer KeySession::on_request(const protocol::KeyRequest& request, pki::Time now)
{
    if (request.version() != version)
        return refuse({Reason::unsupported_version, "only version 1 of the key conversation is known"});
    const auto peer = peer_of(chain_.front(), Means::certificate);
    if (!peer)
        return refuse(peer.refusal());
    const auto binding = pki::module_binding(chain_.front()).value();
    const auto storage_key = check_storage_key(as_bytes(request.storage_key()), binding);
    if (!storage_key)
        return refuse(storage_key.refusal());
    offered_ = make_key(chain_, *peer, office_.lifetimes, now);
    const auto grant = grant_of(offered_, *storage_key, binding, central_set_);
    step_ = Step::confirm;
    return {.message = protocol::serialize(grant), .last = false, .refused = {}, .made = {}};
}

KeyAnswer KeySession::on_confirm(const protocol::KeyConfirm& confirm)
{
    const auto expected =
        protocol::transaction_hmac(offered_.key, protocol::confirmation_input(channel_binding_, offered_.row.id));
    if (!same(as_bytes(confirm.proof()), expected.view()))
        return refuse({Reason::transaction_key_invalid, "the confirmation was not made with the key"});
    const auto row = seal(office_.sealer, std::move(offered_));
    if (const auto verdict = office_.store.add(row); !verdict)
        return refuse(verdict.refusal());
    protocol::KeyMessage done;
    done.mutable_done();
    return {.message = protocol::serialize(done), .last = true, .refused = {}, .made = row.id};
}

} // namespace imprint::central
