// SPDX-License-Identifier: Apache-2.0
// libtss2-tcti-imprint-test.so: the test TCTI for whole programs, by configuration
//   TCTI=/path/libtss2-tcti-imprint-test.so:path=/run/swtpm.sock,count=FILE,kill=N
// path=   socket of swtpm (required); a connection for each command, so that tpm2-tools can look in between
// count=  appends "<command code, hex> <busy microseconds>" for each command (read_count_file in software_tpm.h)
// record= appends "> <command, hex>" and "< <response, hex>" for each command
// kill=N / kill-before=N  SIGKILL of the own process after the response to its N-th command / before it is sent
// trigger=FILE  the commands of kill= are counted from when FILE is there; it is removed with the kill
// latency=CODE:MICROSECONDS  delays a command (hexadecimal code); may be repeated
#include "tests/support/test_tcti.h"

#include <fcntl.h>
#include <csignal>
#include <unistd.h>

#include <charconv>
#include <iostream>
#include <sstream>
#include <string_view>

namespace imprint::test {

namespace {

struct Options {
    std::string path, count, record, trigger;
    std::size_t kill = 0, kill_before = 0;
    std::map<std::uint32_t, std::chrono::microseconds> latency;
};

bool parse(std::string_view text, auto& number, int base = 10)
{
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number, base);
    return failure == std::errc{} && end == text.data() + text.size();
}

bool parse_latency(std::string_view value, Options& options)
{
    const auto colon = value.find(':');
    std::uint32_t code = 0;
    std::int64_t microseconds = 0;
    if (colon == std::string_view::npos || !parse(value.substr(0, colon), code, 16) ||
        !parse(value.substr(colon + 1), microseconds))
        return false;
    options.latency[code] = std::chrono::microseconds(microseconds);
    return true;
}

bool take(std::string_view key, std::string_view value, Options& options)
{
    if (key == "path")
        return !(options.path = value).empty();
    if (key == "count")
        return !(options.count = value).empty();
    if (key == "record")
        return !(options.record = value).empty();
    if (key == "trigger")
        return !(options.trigger = value).empty();
    if (key == "kill")
        return parse(value, options.kill);
    if (key == "kill-before")
        return parse(value, options.kill_before);
    return key == "latency" && parse_latency(value, options);
}

std::optional<Options> parse(std::string_view conf)
{
    Options options;
    while (!conf.empty()) {
        const auto item = conf.substr(0, conf.find(','));
        conf.remove_prefix(std::min(conf.size(), item.size() + 1));
        const auto equals = item.find('=');
        if (equals == std::string_view::npos || !take(item.substr(0, equals), item.substr(equals + 1), options))
            return std::nullopt;
    }
    return options.path.empty() ? std::nullopt : std::optional(options);
}

void append(const std::string& file, const std::string& text)
{
    const int fd = ::open(file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0 || ::write(fd, text.data(), text.size()) != static_cast<ssize_t>(text.size()))
        std::cerr << "test TCTI: cannot write " << file << "\n";
    ::close(fd);
}

std::string hexadecimal(const Octets& bytes)
{
    static constexpr char digits[] = "0123456789abcdef";
    std::string out;
    for (const auto byte : bytes) {
        out += digits[byte >> 4];
        out += digits[byte & 15];
    }
    return out;
}

void note(const Options& options, const Exchange& exchange)
{
    const auto busy = std::chrono::duration_cast<std::chrono::microseconds>(exchange.took);
    std::ostringstream line;
    line << std::hex << exchange.code << " " << std::dec << busy.count() << "\n";
    if (!options.count.empty())
        append(options.count, line.str());
    if (!options.record.empty())
        append(options.record, "> " + hexadecimal(exchange.command) + "\n< " + hexadecimal(exchange.response) + "\n");
}

// Whether it is the command to die with. `first`: the one that is counted as the first, once that is known.
bool is_last(const Options& options, std::size_t number, std::size_t& first)
{
    if (first == 0 && (options.trigger.empty() || ::access(options.trigger.c_str(), F_OK) == 0))
        first = options.trigger.empty() ? 1 : number;
    if (options.kill == 0 || first == 0 || number != first + options.kill - 1)
        return false;
    ::unlink(options.trigger.c_str());
    return true;
}

std::shared_ptr<Wire> wire_for(const Options& options)
{
    auto wire = std::make_shared<Wire>(options.path);
    wire->latency = options.latency;
    wire->before = [options](std::size_t number, std::uint32_t) -> std::optional<TSS2_RC> {
        if (number == options.kill_before)
            ::kill(::getpid(), SIGKILL);
        return std::nullopt;
    };
    wire->after = [options, first = std::size_t{0}](const Exchange& exchange) mutable -> std::optional<TSS2_RC> {
        note(options, exchange);
        if (is_last(options, exchange.number, first))
            ::kill(::getpid(), SIGKILL);
        return std::nullopt;
    };
    return wire;
}

void finalize_module(TSS2_TCTI_CONTEXT* tcti) { reinterpret_cast<TctiContext*>(tcti)->~TctiContext(); }

TSS2_RC initialize(TSS2_TCTI_CONTEXT* tcti, size_t* size, const char* conf)
{
    if (!tcti) {
        *size = sizeof(TctiContext);
        return TSS2_RC_SUCCESS;
    }
    const auto options = parse(conf ? conf : "");
    if (!options)
        return TSS2_TCTI_RC_BAD_VALUE;
    auto* context = ::new (static_cast<void*>(tcti)) TctiContext; // memory of the loader's, freed by it
    prepare_tcti(*context, wire_for(*options));
    context->base.v1.finalize = finalize_module;
    return TSS2_RC_SUCCESS;
}

const TSS2_TCTI_INFO info{2, "imprint-test", "counts, records, delays and kills", "path=SOCKET,...", initialize};

} // namespace

} // namespace imprint::test

extern "C" const TSS2_TCTI_INFO* Tss2_Tcti_Info() { return &imprint::test::info; }
