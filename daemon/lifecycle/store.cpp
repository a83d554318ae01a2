// SPDX-License-Identifier: Apache-2.0
#include "daemon/lifecycle/store.h"

#include "daemon/base/file.h"
#include "daemon/pki/certificate.h"
#include "daemon/protobuf/canonical.h"
#include "daemon/structures/name.h"

#include <algorithm>
#include <charconv>

namespace imprint::lifecycle {

namespace {

using protobuf::none_unknown;

constexpr std::size_t digest_size = 32; // at the head of each file
constexpr std::string_view chip_file = "chip.pb";
constexpr std::string_view recovered_file = "recovered.pb";
// Files of an epoch have its number in their names.
namespace kind {
constexpr std::string_view personalization = "personalization-";
constexpr std::string_view transaction = "transaction-";
} // namespace kind
constexpr std::string_view suffix = ".pb";

bool known(const Chip& chip)
{
    return none_unknown(chip) &&
        std::ranges::all_of(chip.endorsement_keys(), [](const auto& key) { return none_unknown(key); });
}

bool known(const Personalization& file)
{
    return none_unknown(file, file.module_key(), file.parent()) &&
        std::ranges::all_of(file.keys(), [](const auto& key) { return none_unknown(key); });
}

bool known(const TransactionKeys& file)
{
    return none_unknown(file) && std::ranges::all_of(file.keys(), [](const auto& key) { return none_unknown(key); });
}

bool sound(const TransactionKeys& file) { return file.sequence() % 2 == 1; }

bool sound(const Chip& chip)
{
    return chip.endorsement_keys_size() > 0 && chip.storage_key_name().empty() == chip.identity_key_name().empty() &&
        (chip.preparing() || !chip.storage_key_name().empty());
}

bool readable(const std::string& certificate) { return bool(pki::Certificate::from_der(as_bytes(certificate))); }

// Whoever shows or uses a certificate need not doubt it.
bool sound_certificates(const Personalization& file)
{
    const auto readable_if_there = [](const auto& key) {
        return key.certificate().empty() || readable(key.certificate());
    };
    return readable(file.identity_certificate()) && std::ranges::all_of(file.certificates(), readable) &&
        std::ranges::all_of(file.keys(), readable_if_there) &&
        file.has_module_key() == !file.module_key().certificate().empty() && readable_if_there(file.module_key());
}

bool sound(const Personalization& file)
{
    const bool parent = !file.parent().object().empty() && !file.parent().sensitive().empty();
    return file.sequence() % 2 == 1 && !file.record().empty() && sound_certificates(file) &&
        parent == file.has_parent() && parent == std::ranges::any_of(file.keys(), &DataKey::key_file);
}

Bytes digest(BytesView message) { return structures::digest(TPM2_ALG_SHA256, message); }

// A file is the SHA-256 of a message and that message.
template <class Message>
bool parse(Message& message, BytesView file)
{
    if (file.size() < digest_size)
        return false;
    const BytesView body = file.subspan(digest_size);
    return equal(digest(body), file.first(digest_size)) &&
        protobuf::parse_canonical(message, body, max_file, Reason::storage_failed, "a file") && known(message);
}

// Nothing if the file does not exist. Throws Error(storage_failed) for one that is damaged.
template <class Message>
std::optional<Message> read(const std::filesystem::path& path)
{
    const auto bytes = read_file(path, max_file);
    if (!bytes)
        return std::nullopt;
    Message message;
    if (!parse(message, *bytes))
        throw Error(Reason::storage_failed, path.string() + " is damaged");
    if (message.version() != file_version)
        throw Error(Reason::storage_failed,
                    path.string() + " has version " + std::to_string(message.version()) + ", which is not known here");
    if (!structures::is_chip_identifier(message.chip_identifier()) || !sound(message))
        throw Error(Reason::storage_failed, path.string() + " contradicts itself");
    return message;
}

template <class Message>
void write(const std::filesystem::path& path, Message& message)
{
    message.set_version(file_version);
    const Bytes body = protobuf::serialize(message);
    Bytes bytes = digest(body);
    bytes.insert(bytes.end(), body.begin(), body.end());
    if (bytes.size() > max_file)
        throw Error(Reason::storage_failed, path.string() + " would be too large");
    write_file(path, bytes);
}

std::string file_of(std::string_view prefix, std::uint64_t sequence)
{
    return std::string(prefix) + std::to_string(sequence) + ".pb";
}

// The sequence in the name of a file of this kind.
std::optional<std::uint64_t> sequence_of(const std::string& file, std::string_view prefix)
{
    if (!file.starts_with(prefix) || !file.ends_with(suffix))
        return std::nullopt;
    std::uint64_t sequence = 0;
    std::from_chars(file.data() + prefix.size(), file.data() + file.size(), sequence);
    return file == file_of(prefix, sequence) ? std::optional(sequence) : std::nullopt;
}

std::vector<std::uint64_t> sequences(const std::filesystem::path& directory, std::string_view prefix)
{
    std::vector<std::uint64_t> found;
    std::error_code error;
    std::filesystem::directory_iterator entries(directory, error);
    if (error == std::errc::no_such_file_or_directory)
        return found;
    for (; !error && entries != std::filesystem::directory_iterator(); entries.increment(error))
        if (const auto sequence = sequence_of(entries->path().filename().string(), prefix))
            found.push_back(*sequence);
    if (error)
        throw Error(Reason::storage_failed, "cannot read " + directory.string() + ": " + error.message());
    return found;
}

// Notes what is wrong with one file instead of giving up on the others.
template <class F>
void attempt(Content& content, F read_one)
{
    try {
        read_one();
    } catch (const Error& error) {
        content.damaged.emplace_back(error.what());
    }
}

void require_owner(const Content& content, const Personalization& file, const std::filesystem::path& path)
{
    if (content.chip && content.chip->chip_identifier() != file.chip_identifier())
        throw Error(Reason::storage_failed, path.string() + " belongs to another chip than chip.pb");
}

} // namespace

const Personalization* Content::complete(std::uint64_t sequence) const
{
    const auto found = personalizations.find(sequence);
    return found != personalizations.end() && found->second.receipt() ? &found->second : nullptr;
}

const Personalization* Content::newest() const
{
    const auto found = std::find_if(personalizations.rbegin(), personalizations.rend(),
                                    [](const auto& entry) { return entry.second.receipt(); });
    if (found != personalizations.rend())
        return &found->second;
    return recovered ? &*recovered : nullptr;
}

Files summary(const Content& content)
{
    Files files;
    if (content.chip) {
        files.any = true;
        files.chip_identifier = content.chip->chip_identifier();
        files.storage_key_name = to_bytes(content.chip->storage_key_name());
        files.preparing = content.chip->preparing();
        files.moving_past = content.chip->moving_past();
    } else if (const auto* file = content.newest()) {
        files.any = true;
        files.chip_identifier = file->chip_identifier();
    }
    for (const auto& [sequence, file] : content.personalizations)
        if (file.receipt())
            files.receipts.push_back(sequence);
    files.recovered = content.recovered.has_value();
    return files;
}

Store::Store(std::filesystem::path directory)
    : directory_(std::move(directory))
{
}

Content Store::load() const
{
    Content content;
    attempt(content, [&] { content.chip = read<Chip>(directory_ / chip_file); });
    for (const std::uint64_t sequence : sequences(directory_, kind::personalization)) {
        const std::size_t damaged = content.damaged.size();
        attempt(content, [&] {
            auto file = personalization(sequence);
            if (!file)
                return;
            require_owner(content, *file, directory_ / file_of(kind::personalization, sequence));
            content.personalizations.emplace(sequence, *std::move(file));
        });
        if (content.damaged.size() > damaged)
            content.damaged_sequences.push_back(sequence);
    }
    attempt(content, [&] {
        auto file = read<Personalization>(directory_ / recovered_file);
        if (file)
            require_owner(content, *file, directory_ / recovered_file);
        content.recovered = std::move(file);
    });
    return content;
}

std::optional<Personalization> Store::personalization(std::uint64_t sequence) const
{
    const auto path = directory_ / file_of(kind::personalization, sequence);
    auto file = read<Personalization>(path);
    if (file && file->sequence() != sequence)
        throw Error(Reason::storage_failed, path.string() + " is the file of another epoch");
    if (file && !file->has_module_key())
        throw Error(Reason::storage_failed, path.string() + " is without the module key of its epoch");
    return file;
}

void Store::save(Chip chip) const { write(directory_ / chip_file, chip); }

void Store::save(Personalization personalization) const
{
    write(directory_ / file_of(kind::personalization, personalization.sequence()), personalization);
}

void Store::save_recovered(Personalization personalization) const
{
    write(directory_ / recovered_file, personalization);
}

void Store::remove_damaged(const Content& content) const
{
    for (const std::uint64_t sequence : content.damaged_sequences)
        remove_file(directory_ / file_of(kind::personalization, sequence));
    if (!content.recovered)
        remove_recovered();
}

void Store::remove_recovered() const { remove_file(directory_ / recovered_file); }

void Store::remove_dead(std::uint64_t sequence) const
{
    for (const std::uint64_t found : sequences(directory_, kind::personalization))
        if (found < sequence)
            remove_file(directory_ / file_of(kind::personalization, found));
    for (const std::uint64_t found : sequences(directory_, kind::transaction))
        if (found < sequence)
            remove_transaction_keys(found);
    remove_recovered();
}

TransactionKeys Store::transaction_keys(std::uint64_t sequence) const
{
    const auto path = directory_ / file_of(kind::transaction, sequence);
    try {
        auto file = read<TransactionKeys>(path);
        if (file && file->sequence() == sequence)
            return *std::move(file);
    } catch (const Error&) {
        // New ones are made, and take its place.
        return {};
    }
    return {};
}

void Store::save(TransactionKeys keys) const { write(directory_ / file_of(kind::transaction, keys.sequence()), keys); }

void Store::remove_transaction_keys(std::uint64_t sequence) const
{
    remove_file(directory_ / file_of(kind::transaction, sequence));
}

} // namespace imprint::lifecycle
