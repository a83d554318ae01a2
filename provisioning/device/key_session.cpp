// SPDX-License-Identifier: Apache-2.0
#include "provisioning/device/key_session.h"

#include "backup/package/importable.h"
#include "daemon/structures/marshal.h"
#include "provisioning/protocol/framing.h"
#include "provisioning/protocol/key_messages.h"
#include "provisioning/protocol/transaction_key.h"

namespace imprint::device {

namespace {

constexpr std::int64_t end_of_time = 253402300799; // 9999-12-31 23:59:59

Refusal invalid(const std::string& why) { return {Reason::transaction_key_invalid, why}; }

Verdict check_lifetime(const protocol::KeyGrant& grant, pki::Time now)
{
    const auto today = now.time_since_epoch().count();
    if (grant.not_after() <= today)
        return invalid("the transaction key has expired already");
    if (grant.rotate_after() <= 0 || grant.rotate_after() > grant.not_after() || grant.not_after() > end_of_time)
        return invalid("the transaction key's times make no sense");
    return accepted();
}

} // namespace

KeySession::KeySession(Situation situation, KeyHolder holder)
    : situation_(std::move(situation))
    , holder_(std::move(holder))
{
}

Bytes KeySession::request() const
{
    protocol::KeyMessage message;
    auto& request = *message.mutable_request();
    request.set_version(protocol::version);
    request.set_storage_key(to_string(structures::marshal(situation_.storage_key)));
    return protocol::serialize(message);
}

Result<Bytes> KeySession::take(BytesView message)
{
    const Awaiting awaiting = std::exchange(awaiting_, Awaiting::nothing);
    const auto parsed = protocol::parse_key_message(message);
    if (!parsed)
        return parsed.refusal();
    if (parsed->has_refused())
        return protocol::refusal_of(parsed->refused());
    if (awaiting == Awaiting::grant && parsed->has_grant())
        return answer_grant(parsed->grant());
    if (awaiting == Awaiting::done && parsed->has_done())
        return Bytes{};
    return Refusal{Reason::unexpected_message, "the central system sent a message out of order"};
}

// Nothing is imported that could be of use beside this epoch's connections, or that came in clear.
Result<Bytes> KeySession::answer_grant(const protocol::KeyGrant& grant)
{
    const auto area =
        package::check_importable(as_bytes(grant.object()), as_bytes(grant.duplicate()), as_bytes(grant.seed()),
                                  Reason::transaction_key_invalid, "the transaction key");
    if (!area)
        return area.refusal();
    if (!protocol::is_transaction_key(*area, situation_.epoch_index_name, situation_.odd_epoch))
        return invalid("the transaction key does not follow the published template");
    if (grant.key_id().size() != protocol::key_id_size)
        return invalid("the transaction key's identifier has the wrong size");
    if (const auto verdict = check_lifetime(grant, situation_.now); !verdict)
        return verdict.refusal();
    const Bytes sensitive =
        holder_.import({to_bytes(grant.object()), to_bytes(grant.duplicate()), to_bytes(grant.seed())});
    const auto proof = holder_.hmac(as_bytes(grant.object()), sensitive,
                                    protocol::confirmation_input(situation_.channel_binding, as_bytes(grant.key_id())));
    key_.set_key_id(grant.key_id());
    key_.set_object(grant.object());
    key_.set_sensitive(to_string(sensitive));
    key_.set_rotate_after(grant.rotate_after());
    key_.set_not_after(grant.not_after());
    central_set_ = to_bytes(grant.central_set());
    protocol::KeyMessage message;
    message.mutable_confirm()->set_proof(to_string(proof.view()));
    awaiting_ = Awaiting::done;
    return protocol::serialize(message);
}

} // namespace imprint::device
