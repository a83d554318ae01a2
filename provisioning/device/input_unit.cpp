// SPDX-License-Identifier: Apache-2.0
#include "provisioning/device/input_unit.h"

#include "daemon/tls/link.h"

#include <algorithm>

namespace imprint::device {

namespace {

constexpr std::size_t longest_line = 128;
constexpr int max_questions = 3;

Secret read_line(tls::Link& link)
{
    Secret line(longest_line);
    std::size_t size = 0;
    while (size < line.size()) {
        const std::size_t count = link.receive({line.data() + size, line.size() - size});
        const auto* begin = line.data() + size;
        const auto* end = std::find(begin, begin + count, '\n');
        size += static_cast<std::size_t>(end - begin);
        if (count == 0 || end != begin + count) {
            line.resize(size);
            return line;
        }
    }
    throw Error(Reason::message_too_large, "the input unit does not end its line");
}

void send_line(tls::Link& link, const std::string& text)
{
    for (BytesView left = as_bytes(text); !left.empty();)
        left = left.subspan(link.send(left));
}

bool is_blank(BytesView line)
{
    return std::ranges::all_of(line, [](std::uint8_t byte) { return byte == ' ' || byte == '\r' || byte == '\t'; });
}

// One question, on a connection of its own.
Result<protocol::IntroductionCode> ask_once(const InputUnit& unit, Reason why, const std::string& chip_identifier,
                                            const tls::Cancel& cancel)
{
    const auto deadline = std::chrono::steady_clock::now() + unit.timeout;
    tls::Link link(tls::connect(unit.address, 0, deadline, cancel), cancel);
    link.until(deadline);
    send_line(link, std::string(name(why)) + ' ' + chip_identifier + '\n');
    const Secret line = read_line(link);
    if (is_blank(line.view()))
        throw Error(Reason::transaction_number_required, "the input unit gave no number");
    return protocol::read_transaction_number(as_text(line.view()));
}

} // namespace

protocol::IntroductionCode ask(const InputUnit& unit, const std::string& chip_identifier, const Progress& progress,
                               const tls::Cancel& cancel)
try {
    Reason why = Reason::transaction_number_required;
    for (int left = max_questions;; --left) {
        progress(10,
                 why == Reason::transaction_number_required ? "waiting for a transaction number at the input unit"
                                                            : "waiting for it once more: it was mistyped");
        auto number = ask_once(unit, why, chip_identifier, cancel);
        if (number || left == 1)
            return std::move(number).or_throw();
        why = number.refusal().reason;
    }
} catch (const Error& error) {
    if (error.reason() != Reason::timed_out && error.reason() != Reason::connection_refused)
        throw;
    throw Error(error.reason(), "the input unit " + unit.address + ": " + error.what());
}

} // namespace imprint::device
