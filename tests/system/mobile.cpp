// SPDX-License-Identifier: Apache-2.0
#include "tests/system/mobile.h"

#include <SQLiteCpp/SQLiteCpp.h>

#include <stdexcept>

namespace imprint::test {

namespace {

void must(const Finished& finished)
{
    if (finished.status != 0)
        throw std::runtime_error("imprint-station: " + finished.out + finished.err);
}

} // namespace

Mobile::Mobile(const Factory& factory, const std::string& name, const std::string& prefix)
    : keys_(factory.certify_station(name))
    , vendors_(factory / "vendor.pem")
{
    must(command({"init"}));
    must(command({"identity", "range", "--prefix", prefix, "--width", "6", "--from", "1", "--to", "999999"}));
}

Arguments Mobile::serving() const
{
    return {IMPRINT_TEST_STATION, "--state",         state().string(),    "serve", "--directory", keys_.string(),
            "--vendor-ca",        vendors_.string(), "--message-timeout", "5"};
}

void Mobile::serve(const std::string& address)
{
    auto arguments = serving();
    arguments.insert(arguments.end(), {"--listen", address});
    const auto log = directory_ / "log";
    process_ = std::make_unique<Process>(arguments, Environment{}, log);
    if (process_->line_after("listening station ") != address)
        throw std::runtime_error("the laptop does not serve: " + to_string(read_file(log, 1 << 20).value_or(Bytes())));
}

std::string Mobile::serve_stdio(const Arguments& more) const
{
    auto arguments = serving();
    arguments.insert(arguments.end(), more.begin(), more.end());
    std::string command;
    for (const auto& argument : arguments)
        command += "'" + argument + "' ";
    return command + "--stdio 2>>'" + (directory_ / "log").string() + "'";
}

Finished Mobile::command(const Arguments& arguments) const
{
    Arguments all{IMPRINT_TEST_STATION, "--state", state().string()};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return run(all);
}

Finished Mobile::sync(const Arguments& arguments, const Environment& environment) const
{
    Arguments all{IMPRINT_TEST_STATION, "--state", state().string(), "sync", "--directory", keys_.string()};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return run(all, {}, environment);
}

std::int64_t Mobile::rows(const std::string& table, const std::string& condition) const
{
    return SQLite::Database((state() / "station.db").string())
        .execAndGet("SELECT count(*) FROM " + table + " WHERE " + condition)
        .getInt64();
}

} // namespace imprint::test
