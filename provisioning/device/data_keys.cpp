// SPDX-License-Identifier: Apache-2.0
#include "provisioning/device/data_keys.h"

#include "backup/package/opaque_secret.h"
#include "daemon/structures/marshal.h"
#include "daemon/structures/name.h"

namespace imprint::device {

namespace {

using structures::DataKeyKind;
using Operation = KeyUse::Operation;

TPMT_PUBLIC area_of(const lifecycle::DataKey& key)
{
    const auto object = structures::unmarshal<TPM2B_PUBLIC>(as_bytes(key.object()));
    if (!object)
        throw Error(Reason::storage_failed, "the key " + key.label() + " in the files cannot be read");
    return object->publicArea;
}

DataKeyKind kind_of(const lifecycle::DataKey& key, const TPMT_PUBLIC& area)
{
    const auto kind = structures::data_key_kind(area);
    if (!kind)
        throw Error(Reason::data_key_unsuitable, "the key " + key.label() + " is of a kind that nothing is known of");
    return *kind;
}

DataKeyKind needed(Operation operation)
{
    switch (operation) {
    case Operation::sign:
        return DataKeyKind::signing;
    case Operation::hmac:
    case Operation::derive:
        return DataKeyKind::hmac;
    case Operation::agree:
        return DataKeyKind::agreement;
    case Operation::decrypt:
        return DataKeyKind::decryption;
    case Operation::open:
        return DataKeyKind::opaque;
    }
    throw Error(Reason::internal, "an unknown use of a key");
}

void require_kind(const lifecycle::DataKey& key, const TPMT_PUBLIC& area, Operation operation)
{
    const auto kind = kind_of(key, area);
    if (kind != needed(operation))
        throw Error(Reason::data_key_unsuitable,
                    "the key " + key.label() + " is for " + std::string(structures::name(kind)) + ", not for " +
                        std::string(structures::name(needed(operation))));
}

void require_size(std::size_t size, std::size_t limit, const char* what)
{
    if (size > limit)
        throw Error(Reason::invalid_argument,
                    std::string(what) + " has " + std::to_string(size) + " bytes; " + std::to_string(limit) +
                        " are allowed");
}

const structures::SignatureAlgorithm& algorithm_of(const TPMT_PUBLIC& area, const KeyUse& use)
{
    const auto possible = structures::signature_algorithms(area);
    const std::string_view wanted = use.algorithm.empty() ? possible.front() : std::string_view(use.algorithm);
    if (std::ranges::count(possible, wanted) == 0) {
        std::string names;
        for (const auto name : possible)
            (names += names.empty() ? "" : ", ") += name;
        throw Error(Reason::data_key_unsuitable, "the key " + use.label + " signs by " + names);
    }
    const auto& algorithm = *structures::signature_algorithm(wanted);
    if (use.input.size() != algorithm.digest_size)
        throw Error(Reason::invalid_argument,
                    "the digest has " + std::to_string(use.input.size()) + " bytes, " + std::string(algorithm.name) +
                        " signs " + std::to_string(algorithm.digest_size));
    return algorithm;
}

// A use of a loaded key, all of its input checked before the TPM is asked for anything.
using Job = std::function<Secret(tpm::SecurityModule::Work& work, const tpm::Transient& key)>;

Secret derive(tpm::SecurityModule::Work& work, const tpm::Transient& key, const KeyUse& use)
{
    constexpr std::size_t block = 32;
    Secret out(use.length);
    for (std::size_t done = 0; done < use.length; done += block) {
        const bool last = use.length - done <= block;
        if (last)
            work.last();
        const Secret part =
            work.hmac_with(key, derivation_block(static_cast<std::uint32_t>(done / block + 1), use.input, use.length));
        std::copy_n(part.begin(), std::min(block, use.length - done), out.data() + done);
    }
    return out;
}

Job job_of(const TPMT_PUBLIC& area, const lifecycle::Personalization& file, const lifecycle::DataKey& key,
           const KeyUse& use)
{
    switch (use.operation) {
    case Operation::sign:
        return [&use, &algorithm = algorithm_of(area, use)](auto& work, const auto& loaded) {
            return Secret(work.sign(loaded, algorithm.scheme, use.input));
        };
    case Operation::hmac:
        require_size(use.input.size(), max_hmac_message, "the message");
        return [&use](auto& work, const auto& loaded) {
            work.last();
            return work.hmac_with(loaded, use.input);
        };
    case Operation::derive:
        require_size(use.input.size(), max_derive_context, "the context");
        if (use.length == 0 || use.length > max_derived)
            throw Error(Reason::invalid_argument, "1 to " + std::to_string(max_derived) + " bytes can be derived");
        return [&use](auto& work, const auto& loaded) { return derive(work, loaded, use); };
    case Operation::agree:
        return [peer = structures::peer_point(use.input, area).or_throw()](auto& work, const auto& loaded) {
            work.last();
            return work.agree(loaded, peer);
        };
    case Operation::decrypt:
        require_size(use.input.size(), area.parameters.rsaDetail.keyBits / 8, "the ciphertext");
        return [&use](auto& work, const auto& loaded) {
            work.last();
            return work.decrypt(loaded, use.input);
        };
    case Operation::open:
        return [&file, &key](auto& work, const auto& loaded) {
            work.last();
            const Secret secret = work.unseal_data(loaded);
            return package::open_secret(as_bytes(key.enveloped()), secret,
                                        {file.chip_identifier(), file.sequence(), key.label()})
                .or_throw();
        };
    }
    throw Error(Reason::internal, "an unknown use of a key");
}

tpm::Transient load(tpm::SecurityModule::Work& work, const lifecycle::Personalization& file,
                    const lifecycle::DataKey& key)
{
    if (!key.key_file())
        return work.load(as_bytes(key.object()), as_bytes(key.sensitive()));
    return work.load_key_file(as_bytes(file.parent().object()), as_bytes(file.parent().sensitive()),
                              as_bytes(key.object()), as_bytes(key.sensitive()));
}

} // namespace

const lifecycle::DataKey& find_key(const lifecycle::Personalization& file, std::string_view label)
{
    const auto found =
        std::ranges::find_if(file.keys(), [&](const lifecycle::DataKey& key) { return key.label() == label; });
    if (found == file.keys().end())
        throw Error(Reason::data_key_not_found, "there is no key " + std::string(label));
    return *found;
}

KeyInfo describe(const lifecycle::DataKey& key)
{
    const auto area = area_of(key);
    KeyInfo info{.label = key.label(),
                 .kind = kind_of(key, area),
                 .certificate = to_bytes(key.certificate()),
                 .key_file = key.key_file()};
    for (const auto name : structures::signature_algorithms(area))
        info.algorithms.emplace_back(name);
    if (area.type != TPM2_ALG_KEYEDHASH)
        info.public_key = structures::to_spki(area).or_throw();
    return info;
}

Secret use_key(tpm::Worker& worker, const lifecycle::Personalization& file, const KeyUse& use)
{
    const auto& key = find_key(file, use.label);
    const auto area = area_of(key);
    require_kind(key, area, use.operation);
    const auto job = job_of(area, file, key, use);
    return worker.call([&](tpm::SecurityModule& module) {
        tpm::SecurityModule::Work work(module);
        const auto loaded = load(work, file, key);
        return job(work, loaded);
    });
}

Bytes derivation_block(std::uint32_t number, BytesView context, std::size_t length)
{
    Bytes block;
    const auto append = [&block](std::uint64_t value) {
        for (int shift = 24; shift >= 0; shift -= 8)
            block.push_back(static_cast<std::uint8_t>(value >> shift));
    };
    append(number);
    for (const char c : std::string_view("imprint/1 derive"))
        block.push_back(static_cast<std::uint8_t>(c));
    block.push_back(0);
    block.insert(block.end(), context.begin(), context.end());
    append(length * 8);
    return block;
}

} // namespace imprint::device
