// SPDX-License-Identifier: Apache-2.0
#include "provisioning/courier/line_device.h"

#include "daemon/structures/name.h"

namespace imprint::courier {

LineDevice::LineDevice(Fd link, Patience patience)
    : link_(std::move(link), never_)
    , patience_(patience)
{
}

std::string LineDevice::chip()
{
    auto words = ask(protocol::ask_for_chip());
    if (words.size() != 2 || words[0] != "chip" || !structures::is_chip_identifier(words[1]))
        throw Error(Reason::malformed_message, "the device's answer has no chip identifier in it");
    return words[1];
}

void LineDevice::introduce(const Secret& ticket, const std::string& address)
{
    if (ask(protocol::introduce(ticket, address)) != Words{"introduced"})
        throw Error(Reason::malformed_message, "the device's answer does not say that it was introduced");
}

LineDevice::Words LineDevice::ask(const protocol::LinkRequest& request)
{
    for (unsigned attempt = 0; attempt < patience_.attempts; ++attempt)
        if (auto answer = try_once(request))
            return std::move(*answer).or_throw();
    throw Error(Reason::timed_out, "the device does not answer on the link");
}

// Ends at its time, whatever else the link delivers until then.
std::optional<Result<LineDevice::Words>> LineDevice::try_once(const protocol::LinkRequest& request)
try {
    link_.until(std::chrono::steady_clock::now() + patience_.for_answer);
    // The newline ends what may stand unfinished in the other's buffer.
    send(as_bytes("\n"));
    send(protocol::link_line(request.content.view()).view());
    return receive(request);
} catch (const Error& error) {
    if (error.reason() != Reason::timed_out)
        throw;
    return std::nullopt;
}

void LineDevice::send(BytesView bytes)
{
    while (!bytes.empty())
        bytes = bytes.subspan(link_.send(bytes));
}

Result<LineDevice::Words> LineDevice::receive(const protocol::LinkRequest& request)
{
    std::array<std::uint8_t, protocol::max_link_line> buffer{};
    while (const auto size = link_.receive(buffer))
        for (const auto& content : reader_.take(BytesView(buffer).first(size)))
            if (auto answer = protocol::read_answer(request, content))
                return *std::move(answer);
    throw Error(Reason::connection_lost, "the device has closed the link");
}

} // namespace imprint::courier
