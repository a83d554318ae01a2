// SPDX-License-Identifier: Apache-2.0
#include "backup/archive/newest.h"

#include "backup/package/newest.h"
#include "daemon/structures/name.h"

namespace imprint::archive {

namespace {

constexpr std::string_view prefix = "/v1/newest/";
constexpr std::string_view question_mark = "?nonce=";
constexpr std::size_t chip_size = 64;

} // namespace

std::optional<NewestQuestion> parse_newest(std::string_view target)
{
    if (!target.starts_with(prefix))
        return std::nullopt;
    target.remove_prefix(prefix.size());
    NewestQuestion question{std::string(target.substr(0, chip_size)), {}};
    if (!structures::is_chip_identifier(question.chip_identifier))
        return std::nullopt;
    target.remove_prefix(chip_size);
    if (!target.starts_with(question_mark))
        return std::nullopt;
    target.remove_prefix(question_mark.size());
    auto nonce = unhex(target);
    if (!nonce || nonce->size() != package::newest_nonce_size || hex(*nonce) != target)
        return std::nullopt;
    question.nonce = *std::move(nonce);
    return question;
}

Answer answer_newest(Store& store, const Signer& signer, const NewestQuestion& question, pki::Time now)
{
    auto newest = store.read(question.chip_identifier, {});
    if (!newest)
        return problem({Reason::record_not_found, "nothing is here"});
    const pki::Certificates issuers(signer.chain.begin() + 1, signer.chain.end());
    return {200,
            {{"Content-Type", std::string(newest_type)}, {"Cache-Control", "no-store"}},
            package::make_newest(
                {question.chip_identifier, newest->sequence, std::move(newest->digest), now, question.nonce},
                signer.chain.front(), signer.key.get(), issuers),
            {}};
}

} // namespace imprint::archive
