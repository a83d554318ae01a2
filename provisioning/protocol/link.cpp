// SPDX-License-Identifier: Apache-2.0
#include "provisioning/protocol/link.h"

#include "daemon/base/ascii.h"
#include "daemon/structures/name.h"

#include <algorithm>
#include <charconv>

namespace imprint::protocol {

namespace {

constexpr std::size_t check_size = 8;
constexpr std::size_t number_size = 8;
constexpr std::size_t max_content = max_link_line - check_size - 2; // a space and the newline
constexpr std::size_t max_detail = 256;
constexpr std::string_view no_address = "-";

std::string check_of(BytesView content)
{
    return hex(structures::digest(TPM2_ALG_SHA256, content)).substr(0, check_size);
}

bool is_number(std::string_view word)
{
    return word.size() == number_size && word.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::optional<Secret> content_of(BytesView line)
{
    if (line.size() < check_size + 2 || !is_printable(as_text(line)) || line[check_size] != ' ')
        return std::nullopt;
    const BytesView content = line.subspan(check_size + 1);
    if (as_text(line.first(check_size)) != check_of(content))
        return std::nullopt;
    return Secret(content);
}

void append(Secret& text, BytesView more)
{
    const auto size = text.size();
    text.resize(size + more.size());
    std::ranges::copy(more, text.data() + size);
}

LinkRequest request(std::string_view word)
{
    LinkRequest made{hex(random_bytes(number_size / 2)), {}};
    append(made.content, as_bytes(made.number));
    append(made.content, as_bytes(" "));
    append(made.content, as_bytes(word));
    return made;
}

// As it may stand in a line.
std::string shown(const Refusal& refusal)
{
    std::string detail = refusal.detail.substr(0, max_detail);
    std::ranges::replace_if(
        detail, [](unsigned char c) { return c < ' ' || c > '~'; }, '?');
    return "refused " + std::to_string(static_cast<std::uint32_t>(refusal.reason)) + (detail.empty() ? "" : " ") +
        detail;
}

Refusal refusal_of(const std::vector<std::string_view>& words)
{
    std::string detail;
    for (std::size_t i = 3; i < words.size(); ++i)
        detail += (detail.empty() ? "" : " ") + std::string(words[i]);
    std::uint32_t number = 0;
    if (words.size() > 2)
        std::from_chars(words[2].data(), words[2].data() + words[2].size(), number);
    return {reason_from_wire(number).value_or(Reason::internal), "the device says: " + detail};
}

} // namespace

Secret link_line(BytesView content)
{
    if (content.empty() || content.size() > max_content || !is_printable(as_text(content)))
        throw Error(Reason::invalid_argument, "this cannot be said in a line of the link");
    Secret line(as_bytes(check_of(content) + " "));
    append(line, content);
    append(line, as_bytes("\n"));
    return line;
}

std::vector<Secret> LinkReader::take(BytesView bytes)
{
    std::vector<Secret> contents;
    for (const std::uint8_t& byte : bytes) {
        if (byte != '\n') {
            too_long_ = too_long_ || pending_.size() + 1 >= max_link_line;
            if (!too_long_)
                append(pending_, {&byte, 1});
            continue;
        }
        if (auto content = content_of(pending_.view()); content && !too_long_)
            contents.push_back(std::move(*content));
        pending_ = Secret();
        too_long_ = false;
    }
    return contents;
}

std::vector<std::string_view> words_of(const Secret& content)
{
    std::vector<std::string_view> words;
    std::string_view rest = as_text(content.view());
    for (auto space = rest.find(' '); space != std::string_view::npos; space = rest.find(' ')) {
        words.push_back(rest.substr(0, space));
        rest.remove_prefix(space + 1);
    }
    words.push_back(rest);
    return words;
}

LinkRequest ask_for_chip() { return request("ask-chip"); }

LinkRequest introduce(const Secret& ticket, const std::string& address)
{
    LinkRequest made = request("introduce ");
    append(made.content, ticket.view());
    append(made.content, as_bytes(" " + (address.empty() ? std::string(no_address) : address)));
    return made;
}

std::optional<Result<std::vector<std::string>>> read_answer(const LinkRequest& request, const Secret& content)
{
    const auto words = words_of(content);
    if (words.size() < 2 || words[0] != request.number)
        return std::nullopt;
    if (words[1] == "refused")
        return Result<std::vector<std::string>>(refusal_of(words));
    if (words[1] != "chip" && words[1] != "introduced")
        return std::nullopt;
    return Result<std::vector<std::string>>(std::vector<std::string>(words.begin() + 1, words.end()));
}

std::optional<std::string> LinkResponder::respond(const Secret& content)
{
    const auto words = words_of(content);
    if (words.size() < 2 || !is_number(words[0]) || (words[1] != "ask-chip" && words[1] != "introduce"))
        return std::nullopt;
    if (words[0] != last_number_) {
        last_answer_ = carry_out(words);
        last_number_ = words[0];
    }
    return last_number_ + " " + last_answer_;
}

std::string LinkResponder::carry_out(const std::vector<std::string_view>& request)
try {
    if (request[1] == "ask-chip" && request.size() == 2)
        return "chip " + device_.chip();
    if (request[1] != "introduce" || request.size() != 4)
        return shown({Reason::malformed_message, "a request with other words than it should have"});
    const std::string address(request[3] == no_address ? "" : request[3]);
    device_.introduce(Secret(as_bytes(request[2])), address);
    return "introduced";
} catch (const Error& error) {
    return shown(error.refusal());
} catch (const std::exception& error) {
    return shown({Reason::internal, error.what()});
}

} // namespace imprint::protocol
