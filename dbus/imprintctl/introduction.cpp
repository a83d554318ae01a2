// SPDX-License-Identifier: Apache-2.0
#include "dbus/imprintctl/introduction.h"

#include "daemon/base/file.h"
#include "dbus/imprintctl/hidden_line.h"

#include <algorithm>
#include <iostream>
#include <unistd.h>

namespace imprint::ctl {

namespace {

constexpr std::size_t longest_file = 128;

GivenIntroduction given(const char* option, const protocol::IntroductionCode& code)
{
    Secret text = text_of(code);
    text.resize(text.size() + 1);
    return {option, std::move(text)};
}

Secret read_stdin()
{
    Secret content(longest_file + 1);
    const std::size_t size = read_until_end(STDIN_FILENO, {content.data(), content.size()}, "stdin");
    if (size > longest_file)
        throw Error(Reason::invalid_argument, "stdin holds more than a transaction number or a ticket");
    content.resize(size);
    return content;
}

Secret read_source(const std::string& file)
{
    if (file == "-")
        return read_stdin();
    auto content = read_secret_file(file, longest_file);
    if (!content)
        throw Error(Reason::invalid_argument, file + " does not exist");
    return std::move(*content);
}

std::string_view without_line_end(std::string_view text)
{
    if (text.ends_with('\n'))
        text.remove_suffix(1);
    return text;
}

} // namespace

std::optional<GivenIntroduction> read_introduction(const std::string& number_file, const std::string& ticket_file)
{
    if (number_file == "-" && isatty(STDIN_FILENO) != 0)
        return prompt_for_number();
    if (!number_file.empty()) {
        const Secret content = read_source(number_file);
        return given("transaction-number", protocol::read_transaction_number(as_text(content.view())).or_throw());
    }
    if (ticket_file.empty())
        return std::nullopt;
    const Secret content = read_source(ticket_file);
    return given("ticket", protocol::read_ticket(without_line_end(as_text(content.view()))).or_throw());
}

GivenIntroduction prompt_for_number()
{
    for (;;) {
        const Secret line = read_hidden_line("Transaction number: ");
        const auto code = protocol::read_transaction_number(as_text(line.view()));
        if (code)
            return given("transaction-number", *code);
        std::cerr << sentence(code.refusal().reason) << " (" << code.refusal().detail
                  << ") Type it again; no attempt was used up.\n";
    }
}

} // namespace imprint::ctl
