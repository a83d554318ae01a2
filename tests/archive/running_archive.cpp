// SPDX-License-Identifier: Apache-2.0
#include "tests/archive/running_archive.h"

#include <mutex>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <csignal>
#include <sstream>
#include <stdexcept>

namespace imprint::test {

namespace {

constexpr std::size_t max_answer = 1024 * 1024;

std::map<std::string, std::string> parse_headers(const std::string& text)
{
    std::map<std::string, std::string> headers;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        if (line.starts_with("HTTP/"))
            headers.clear(); // of a 100 (Continue)
        const auto colon = line.find(": ");
        if (colon == std::string::npos)
            continue;
        std::string name = line.substr(0, colon);
        std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
        headers[name] = line.substr(colon + 2, line.find_last_not_of("\r\n") - colon - 1);
    }
    return headers;
}

} // namespace

std::string Response::reason() const
{
    const auto json = nlohmann::json::parse(to_string(body), nullptr, false);
    return json.is_object() ? json.value("reason", "") : "";
}

RunningArchive::RunningArchive()
{
    write_file(directory / "trust.pem", pki.trust_pem());
    write_file(directory / "archive.pem", pki::to_pem({pki.archive.certificate}));
    pki::store_key(directory / "archive.key", pki.archive.key.get(), std::nullopt);
}

bool RunningArchive::try_start(const Arguments& more, const Environment& environment)
{
    Arguments arguments{IMPRINT_ARCHIVE,
                        "--database",
                        url,
                        "--trust",
                        directory / "trust.pem",
                        "serve",
                        "--certificate",
                        directory / "archive.pem",
                        "--key",
                        directory / "archive.key",
                        "--listen",
                        "127.0.0.1:0",
                        "--listen-tls",
                        "127.0.0.1:0"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    process.emplace(arguments, environment, directory / "log");
    const auto first = process->line_after("listening http ");
    const auto second = first ? process->line_after("listening https ") : std::nullopt;
    http = first.value_or("");
    https = second.value_or("");
    return second.has_value();
}

void RunningArchive::start(const Arguments& more, const Environment& environment)
{
    if (!try_start(more, environment))
        throw std::runtime_error("the archive does not start: " +
                                 to_string(read_file(directory / "log", max_answer).value_or(Bytes{})));
}

void RunningArchive::kill()
{
    process->signal(SIGKILL);
    process->wait();
}

int RunningArchive::stop()
{
    process->signal(SIGTERM);
    return process->wait();
}

Finished RunningArchive::command(const Arguments& arguments) const
{
    Arguments all{IMPRINT_ARCHIVE, "--database", url, "--trust", directory / "trust.pem"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return run(all);
}

void RunningArchive::remove_database()
{
    for (const auto* suffix : {"", "-wal", "-shm"})
        std::filesystem::remove(database().string() + suffix);
}

Response RunningArchive::curl(const Arguments& arguments) const
{
    const TemporaryDirectory answer;
    Arguments all{"curl",          "-sS", "--max-time",       "20", "-o",
                  answer / "body", "-D",  answer / "headers", "-w", "%{http_code}"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const Finished finished = run(all);
    Response response;
    response.status = static_cast<unsigned>(std::stoul("0" + finished.out));
    if (response.status < 200) // 100 (Continue) is none yet
        response.status = 0;
    response.headers = parse_headers(to_string(read_file(answer / "headers", max_answer).value_or(Bytes{})));
    response.body = read_file(answer / "body", max_answer).value_or(Bytes{});
    return response;
}

Response RunningArchive::get(const std::string& path, const Arguments& more) const
{
    Arguments arguments{"http://" + http + path};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return curl(arguments);
}

std::filesystem::path RunningArchive::write_client(const Certified& client) const
{
    static std::mutex mutex; // tests put from many threads
    const std::lock_guard lock(mutex);
    const auto base = directory / ("client-" + client.certificate.serial());
    if (!std::filesystem::exists(base.string() + ".pem")) {
        write_file(base.string() + ".pem",
                   pki::to_pem({client.certificate, pki.identity_ca.certificate, pki.station_signing.certificate}));
        pki::store_key(base.string() + ".key", client.key.get(), std::nullopt);
    }
    return base;
}

Response RunningArchive::get_known(const std::string& path, Client client) const { return curl(known(path, client)); }

Arguments RunningArchive::put_command(const std::string& path, const std::filesystem::path& body, Client client,
                                      const std::string& content_type) const
{
    Arguments arguments = known(path, client);
    arguments.insert(arguments.end(), {"-T", body, "-H", "Content-Type: " + content_type});
    return arguments;
}

Arguments RunningArchive::known(const std::string& path, Client client) const
{
    Arguments arguments{"--cacert", directory / "trust.pem", "https://" + https + path};
    if (client != nullptr) {
        const std::string base = write_client(*client);
        for (const auto& argument : {std::string("--cert"), base + ".pem", std::string("--key"), base + ".key"})
            arguments.push_back(argument);
    }
    return arguments;
}

Response RunningArchive::put(const std::string& path, BytesView body, Client client, const Arguments& more,
                             const std::string& content_type) const
{
    const TemporaryDirectory request;
    write_file(request / "body", body);
    Arguments arguments = put_command(path, request / "body", client, content_type);
    arguments.insert(arguments.end(), more.begin(), more.end());
    return curl(arguments);
}

Response RunningArchive::put(const SoftwareDevice& device, std::uint64_t sequence, BytesView record) const
{
    return put(path_of(device.chip, sequence), record, &pki.station_tls);
}

std::string RunningArchive::path_of(const std::string& chip) { return "/v1/records/" + chip; }

std::string RunningArchive::path_of(const std::string& chip, std::uint64_t sequence)
{
    return path_of(chip) + "/" + std::to_string(sequence);
}

} // namespace imprint::test
