// SPDX-License-Identifier: Apache-2.0
// How a courier talks to a device over a local link that may drop, garble and stall: lines with a check, requests with
// a number, answers that can be given again. provisioning/courier/link.md tells it as prose. Free of I/O.
#pragma once

#include "daemon/base/error.h"
#include "daemon/base/secret.h"

#include <string>
#include <vector>

namespace imprint::protocol {

// A device as a courier sees it. Everything throws Error.
class Introducible {
public:
    Introducible() = default;
    Introducible(const Introducible&) = delete;
    Introducible& operator=(const Introducible&) = delete;
    virtual ~Introducible() = default;
    virtual std::string chip() = 0; // the chip identifier
    // Gives it the ticket and the station's address (empty: as it is configured). Returns as soon as the device has
    // begun to personalize itself; how that ends it does not tell.
    virtual void introduce(const Secret& ticket, const std::string& address) = 0;
};

inline constexpr std::size_t max_link_line = 512; // with its newline

// The line for this content: check, space, content, newline. Throws Error(invalid_argument) for what is no content: 1
// to 502 characters of printable ASCII.
Secret link_line(BytesView content);

// Finds the lines in what a link delivers.
class LinkReader {
public:
    // The contents of the lines that are complete now. Lines that are too long, hold anything but printable ASCII or
    // have a wrong check are dropped.
    std::vector<Secret> take(BytesView bytes);

private:
    Secret pending_;
    bool too_long_ = false;
};

// What stands between single spaces; the content is borrowed.
std::vector<std::string_view> words_of(const Secret& content);

struct LinkRequest {
    std::string number; // 8 lower-case hexadecimal digits, fresh for each request, the same for its repetitions
    Secret content;
};
LinkRequest ask_for_chip();
LinkRequest introduce(const Secret& ticket, const std::string& address);

// What an answer says: words behind the number. Nothing for a line that is no answer to this request (an echo, an
// answer to an earlier one). Refusal: the device's.
std::optional<Result<std::vector<std::string>>> read_answer(const LinkRequest& request, const Secret& content);

// The device's side: the answer to a request, or nothing for what is none. A request that comes again gets the same
// answer again, and is not carried out twice.
class LinkResponder {
public:
    explicit LinkResponder(Introducible& device)
        : device_(device)
    {
    }
    std::optional<std::string> respond(const Secret& content);

private:
    std::string carry_out(const std::vector<std::string_view>& request);

    Introducible& device_;
    std::string last_number_;
    std::string last_answer_;
};

} // namespace imprint::protocol
