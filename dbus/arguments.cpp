// SPDX-License-Identifier: Apache-2.0
#include "dbus/arguments.h"

#include "daemon/pki/identity.h"

#include <set>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace imprint::dbus {

namespace {

constexpr std::size_t longest_text = 1024;

[[noreturn]] void refuse(const std::string& why) { throw Error(Reason::invalid_argument, why); }

void expect(int result, const char* what)
{
    if (result < 0)
        refuse(std::string(what) + ": " + std::strerror(-result));
}

bool is_stream(int socket)
{
    int type = 0;
    socklen_t size = sizeof type;
    return getsockopt(socket, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
}

// In the message's own memory.
std::string_view read_secret(sd_bus_message* call, const std::string& option)
{
    const char* text = nullptr;
    if (sd_bus_message_read(call, "v", "s", &text) < 0)
        refuse("the option '" + option + "' takes a string");
    return text;
}

bool read_truth(sd_bus_message* call, const std::string& option)
{
    int value = 0;
    if (sd_bus_message_read(call, "v", "b", &value) < 0)
        refuse("the option '" + option + "' takes a boolean");
    return value != 0;
}

std::string read_option_text(sd_bus_message* call, const std::string& option)
{
    const char* text = nullptr;
    if (sd_bus_message_read(call, "v", "s", &text) < 0)
        refuse("the option '" + option + "' takes a text");
    if (std::strlen(text) > longest_text)
        refuse("the option '" + option + "' is longer than " + std::to_string(longest_text) + " bytes");
    return text;
}

pki::DeviceIdentity read_identity(sd_bus_message* call, const std::string& option)
{
    const char *kind = nullptr, *value = nullptr;
    if (sd_bus_message_read(call, "v", "(ss)", &kind, &value) < 0)
        refuse("the option '" + option + "' takes two texts, kind and value");
    if (std::strlen(kind) > longest_text || std::strlen(value) > longest_text)
        refuse("the option '" + option + "' is longer than " + std::to_string(longest_text) + " bytes");
    return pki::normalize({kind, value}).or_throw();
}

std::uint32_t read_number(sd_bus_message* call, const std::string& option)
{
    std::uint32_t value = 0;
    if (sd_bus_message_read(call, "v", "u", &value) < 0)
        refuse("the option '" + option + "' takes a number");
    return value;
}

// Reads a{sv}: `known` reads the value of an option that it knows, and is false for others. Each at most once.
template <class Known>
void read_options(sd_bus_message* call, Known known)
{
    std::set<std::string> seen;
    expect(sd_bus_message_enter_container(call, 'a', "{sv}"), "no options");
    int more = 0;
    while ((more = sd_bus_message_enter_container(call, 'e', "sv")) > 0) {
        const auto option = read_text(call);
        if (seen.contains(option))
            refuse("the option '" + option + "' is given twice");
        if (!known(option))
            refuse("there is no option '" + option + "'");
        seen.insert(option);
        expect(sd_bus_message_exit_container(call), "malformed options");
    }
    expect(more, "malformed options");
    expect(sd_bus_message_exit_container(call), "malformed options");
}

// False: there is no such option.
bool read_personalize_option(sd_bus_message* call, const std::string& option, PersonalizeOptions& options)
{
    if (option == "switch") {
        options.switch_afterwards = read_truth(call, option);
        return true;
    }
    if (option == "identity") {
        options.identity = read_identity(call, option);
        return true;
    }
    const bool number = option == "transaction-number";
    if (!number && option != "ticket")
        return false;
    if (options.introduction)
        refuse("a transaction number and a ticket are given");
    const auto text = read_secret(call, option);
    auto code = number ? protocol::read_transaction_number(text) : protocol::read_ticket(text);
    options.introduction = std::make_shared<const protocol::IntroductionCode>(std::move(code).or_throw());
    return true;
}

} // namespace

std::string read_text(sd_bus_message* call)
{
    const char* text = nullptr;
    expect(sd_bus_message_read(call, "s", &text), "no text");
    if (std::strlen(text) > longest_text)
        refuse("the text is longer than " + std::to_string(longest_text) + " bytes");
    return text;
}

std::string read_socket_path(sd_bus_message* call)
{
    auto path = read_text(call);
    if (!path.starts_with('/'))
        refuse("the socket's path is not absolute: " + path);
    return path;
}

Bytes read_bytes(sd_bus_message* call, std::size_t limit)
{
    const void* data = nullptr;
    std::size_t size = 0;
    expect(sd_bus_message_read_array(call, 'y', &data, &size), "no array of bytes");
    if (size == 0 || size > limit)
        refuse(std::to_string(size) + " bytes were given; there have to be 1 to " + std::to_string(limit));
    const auto* bytes = static_cast<const std::uint8_t*>(data);
    return {bytes, bytes + size};
}

std::uint32_t read_number(sd_bus_message* call)
{
    std::uint32_t number = 0;
    expect(sd_bus_message_read(call, "u", &number), "no number");
    return number;
}

Fd read_descriptor(sd_bus_message* call)
{
    int borrowed = -1;
    expect(sd_bus_message_read(call, "h", &borrowed), "no descriptor");
    struct stat info { };
    if (fstat(borrowed, &info) != 0)
        refuse(std::string("the descriptor cannot be examined: ") + std::strerror(errno));
    if (!(S_ISSOCK(info.st_mode) && is_stream(borrowed)) && isatty(borrowed) == 0)
        refuse("the descriptor is neither a stream socket nor a terminal line");
    return duplicate(borrowed);
}

PersonalizeOptions read_personalize_options(sd_bus_message* call)
{
    PersonalizeOptions options;
    expect(sd_bus_message_sensitive(call), "no options");
    read_options(call, [&](const std::string& option) { return read_personalize_option(call, option, options); });
    return options;
}

std::optional<std::uint64_t> read_recover_options(sd_bus_message* call)
{
    std::optional<std::uint64_t> sequence;
    read_options(call, [&](const std::string& option) {
        if (option != "sequence")
            return false;
        std::uint64_t value = 0;
        if (sd_bus_message_read(call, "v", "t", &value) < 0 || value % 2 == 0)
            refuse("the option 'sequence' takes an odd number");
        sequence = value;
        return true;
    });
    return sequence;
}

ConnectOptions read_connect_options(sd_bus_message* call)
{
    constexpr std::size_t longest_protocol = 255; // RFC 7301
    constexpr std::uint32_t longest_timeout = 3600;
    ConnectOptions options;
    read_options(call, [&](const std::string& option) {
        if (option == "alpn") {
            options.alpn = read_option_text(call, option);
            if (options.alpn.empty() || options.alpn.size() > longest_protocol)
                refuse("the option 'alpn' takes 1 to 255 bytes");
        } else if (option == "timeout-sec") {
            options.timeout = std::chrono::seconds(read_number(call, option));
            if (options.timeout->count() < 1 || options.timeout->count() > longest_timeout)
                refuse("the option 'timeout-sec' takes 1 to 3600");
        } else {
            return false;
        }
        return true;
    });
    return options;
}

} // namespace imprint::dbus
