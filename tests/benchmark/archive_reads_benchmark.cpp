// SPDX-License-Identifier: Apache-2.0
// Reading from the archive against reading the same bytes from an nginx that serves a mirror: what a request costs the
// server's processor, and how long it takes, with the same small client over a Unix socket. Ratios within one run.
#include "backup/archive/static_mirror.h"
#include "tests/archive/nginx.h"
#include "tests/archive/running_archive.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <thread>

namespace imprint::archive {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr std::array sizes{6U, 18U, 68U, 165U}; // KiB: a record with each of the four sizes of backup
constexpr std::uint64_t sequence = 3;
constexpr int connections = 4;
constexpr std::chrono::milliseconds each{1200};

std::string chip_of(std::size_t size) { return std::string(60, 'a') + std::to_string(1000 + size); }

void fill(const std::string& database, const fs::path& directory)
{
    const auto store = open_store(database);
    const StaticMirror mirror(directory);
    for (const auto size : sizes) {
        Bytes record(std::size_t{size} * 1024);
        for (std::size_t i = 0; i < record.size(); ++i)
            record[i] = static_cast<std::uint8_t>(i * 2654435761U >> 13U);
        const Entry entry{{chip_of(size), {"serial", "SN" + std::to_string(size)}, Bytes(32, std::uint8_t(size))},
                          sequence,
                          pki::Time(std::chrono::seconds(1)),
                          record,
                          Bytes(64)};
        store->add(entry).or_throw();
        mirror.add(entry);
        mirror.settle(entry.owner.chip_identifier, sequence);
    }
}

// One connection that asks for the same thing again and again.
class Reader {
public:
    Reader(const std::string& address, const std::string& path)
        : socket_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0))
        , request_("GET " + path + " HTTP/1.1\r\nHost: archive\r\n\r\n")
        , buffer_(256 * 1024)
    {
        sockaddr_un to{};
        to.sun_family = AF_UNIX;
        address.copy(to.sun_path, sizeof to.sun_path - 1);
        if (!socket_ || connect(socket_.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0)
            throw_errno("cannot connect to " + address);
    }

    // The size of the body.
    std::size_t ask()
    {
        if (write(socket_.get(), request_.data(), request_.size()) != static_cast<ssize_t>(request_.size()))
            throw_errno("cannot ask");
        std::size_t have = 0, whole = buffer_.size(), body = 0;
        while (have < whole) {
            const ssize_t n = read(socket_.get(), buffer_.data() + have, buffer_.size() - have);
            if (n <= 0)
                throw_errno("no answer");
            have += static_cast<std::size_t>(n);
            if (body == 0) {
                const std::string_view text(buffer_.data(), have);
                const auto end = text.find("\r\n\r\n");
                if (end == std::string_view::npos)
                    continue;
                if (!text.starts_with("HTTP/1.1 200"))
                    throw std::runtime_error(std::string(text.substr(0, 200)));
                body = std::stoul(std::string(text.substr(text.find("Content-Length: ") + 16, 12)));
                whole = end + 4 + body;
            }
        }
        return body;
    }

private:
    Fd socket_;
    std::string request_;
    std::vector<char> buffer_;
};

// Of all threads, in nanoseconds.
double processor_time(pid_t pid)
{
    double sum = 0;
    for (const auto& thread : fs::directory_iterator("/proc/" + std::to_string(pid) + "/task")) {
        double one = 0;
        std::ifstream(thread.path() / "schedstat") >> one;
        sum += one;
    }
    return sum;
}

struct Cost {
    double processor = 0; // microseconds a request
    double median = 0; // milliseconds
};

Cost measure(const std::string& address, pid_t server, std::size_t size)
{
    const std::string path = "/v1/records/" + chip_of(size) + "/" + std::to_string(sequence);
    std::array<std::vector<double>, connections> times;
    const double before = processor_time(server);
    {
        std::vector<std::jthread> readers;
        for (auto& mine : times)
            readers.emplace_back([&] {
                Reader reader(address, path);
                for (const auto end = Clock::now() + each; Clock::now() < end;) {
                    const auto start = Clock::now();
                    if (reader.ask() != size * 1024)
                        throw std::runtime_error("another record");
                    mine.push_back(std::chrono::duration<double, std::milli>(Clock::now() - start).count());
                }
            });
    }
    const double after = processor_time(server);
    std::vector<double> all;
    for (const auto& mine : times)
        all.insert(all.end(), mine.begin(), mine.end());
    std::ranges::nth_element(all, all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2));
    return {(after - before) / 1000 / static_cast<double>(all.size()), all[all.size() / 2]};
}

void compare()
{
    test::RunningArchive archive;
    const fs::path mirror = archive.directory / "mirror";
    fill(archive.url, mirror);
    const std::string socket = archive.directory / "socket";
    archive.start({"--rate", "0", "--listen", "unix:" + socket});
    const test::Nginx nginx(mirror);
    for (const auto size : sizes) {
        const Cost ours = measure(socket, archive.pid(), size);
        const Cost files = measure(nginx.socket(), nginx.pid(), size);
        std::cout << "reading a record of " << size << " KiB: " << ours.processor
                  << " us of processor a request, nginx " << files.processor << " us ("
                  << ours.processor / files.processor << " times); median " << ours.median << " ms, nginx "
                  << files.median << " ms (" << ours.median / files.median << " times)" << std::endl;
    }
}

} // namespace
} // namespace imprint::archive

int main() { imprint::archive::compare(); }
