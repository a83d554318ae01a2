// SPDX-License-Identifier: Apache-2.0
#include "dbus/imprintctl/commands.h"

#include "daemon/base/file.h"
#include "daemon/base/serial.h"
#include "daemon/pki/certificate.h"
#include "daemon/pki/identity.h"
#include "daemon/pki/public_key.h"
#include "dbus/bus_device.h"
#include "dbus/imprintctl/link.h"
#include "dbus/imprintctl/peer.h"
#include "dbus/imprintctl/recovery.h"
#include "provisioning/protocol/central_set.h"

#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <iostream>
#include <unistd.h>

namespace imprint::ctl {

namespace {

constexpr std::chrono::seconds link_patience{30}; // for the daemon

} // namespace

Commands::Commands(const Options& options)
    : options_(options)
    , output_(options.style)
{
}

void Commands::status() { output_.status(client_.properties()); }

void Commands::personalize()
{
    introduction_ = read_introduction(options_.number_file, options_.ticket_file);
    if (personalized_as_it_is())
        return;
    introduction_ = prompt_for_number();
    personalize_once();
}

void Commands::enter_operating() { change("EnterOperating", {}); }

void Commands::enter_personalization() { change("EnterPersonalization", {}); }

void Commands::export_backup()
{
    if (options_.file == "-" && isatty(STDOUT_FILENO) != 0)
        throw Error(Reason::invalid_argument, "the record is binary: give a FILE, or send stdout elsewhere");
    require_replaceable_file();
    const auto answer = client_.call("ExportBackup");
    const void* data = nullptr;
    std::size_t size = 0;
    if (const int result = sd_bus_message_read_array(answer.get(), 'y', &data, &size); result < 0)
        throw bus_failure(result);
    write({static_cast<const std::uint8_t*>(data), size});
}

void Commands::export_certificate()
{
    require_replaceable_file();
    const auto properties = client_.properties();
    const auto chain = pki::certificates_from_pem(as_bytes(properties["CertificateChain"].get<std::string>()));
    if (chain.empty())
        throw Error(Reason::wrong_state, "this device has no module certificate");
    if (options_.public_key)
        write(pki::public_key_pem(chain.front().spki()));
    else
        write(pki::to_pem(options_.chain ? chain : pki::Certificates{chain.front()}));
}

void Commands::connect()
{
    if (options_.listen.empty())
        return connect_standard_streams(client_, options_.central);
    serve_socket(client_, options_.central, options_.listen,
                 [this](const Failure& failure) { output_.failure(failure); });
}

void Commands::recover()
{
    for (std::size_t i = 0; i + 1 < options_.sources.size(); ++i)
        if (recovered_from(options_.sources[i]))
            return;
    recover_from(options_.sources.empty() ? std::string() : options_.sources.back());
}

void Commands::restore() { recover_from_record(read_record(options_.file, client_.properties(), options_.sequence)); }

void Commands::update_central()
{
    const auto set = read_input(options_.file, protocol::max_central_set, "a list of the central system's keys");
    change("UpdateCentral",
           [&](sd_bus_message* call) { return sd_bus_message_append_array(call, 'y', set.data(), set.size()); });
}

void Commands::link()
{
    // Nothing of ours waits for signals here: they end us.
    sigset_t handled;
    sigemptyset(&handled);
    sigaddset(&handled, SIGINT);
    sigaddset(&handled, SIGTERM);
    sigprocmask(SIG_UNBLOCK, &handled, nullptr);
    dbus::BusDevice device(dbus::BusDevice::system_bus(), link_patience);
    serve_link(device);
}

void Commands::adopt_root() { change("AdoptRoot", {}); }

void Commands::cancel() { client_.call("Cancel"); }

void Commands::key() { use_keys(client_, output_, options_.style, options_.key); }

void Commands::end_progress() { output_.end_progress(); }

bool Commands::personalized_as_it_is()
{
    try {
        personalize_once();
        return true;
    } catch (const Failure& failure) {
        const bool somebody = isatty(STDIN_FILENO) != 0 && !options_.style.json;
        if (failure.reason != name(Reason::transaction_number_required) || introduction_ || !somebody)
            throw;
        output_.end_progress();
        return false;
    }
}

void Commands::personalize_once()
{
    if (!options_.proxy_command.empty())
        return personalize_through_command();
    if (is_serial(options_.address))
        return personalize_over(open_serial(parse_serial(options_.address)).get());
    change("Personalize", [this](sd_bus_message* call) {
        const int result = sd_bus_message_append(call, "s", options_.address.c_str());
        return result < 0 ? result : append_options(call);
    });
}

int Commands::append_options(sd_bus_message* call)
{
    int result = sd_bus_message_open_container(call, 'a', "{sv}");
    const auto append = [&](auto... parts) {
        if (result >= 0)
            result = sd_bus_message_append(call, "{sv}", parts...);
    };
    append("switch", "b", options_.no_switch ? 0 : 1);
    if (introduction_) {
        sd_bus_message_sensitive(call);
        append(introduction_->option, "s", introduction_->c_str());
    }
    if (!options_.identity.empty()) {
        const auto [kind, value] = pki::parse_identity(options_.identity).or_throw();
        append("identity", "(ss)", kind.c_str(), value.c_str());
    }
    return result < 0 ? result : sd_bus_message_close_container(call);
}

void Commands::personalize_over(int descriptor)
{
    change("PersonalizeWithDescriptor", [this, descriptor](sd_bus_message* call) {
        const int result = sd_bus_message_append(call, "h", descriptor);
        return result < 0 ? result : append_options(call);
    });
}

void Commands::personalize_through_command()
{
    ProxyCommand command(options_.proxy_command);
    try {
        personalize_over(command.descriptor());
    } catch (Failure& failure) {
        if (const auto end = command.finish())
            failure.why += " (the command " + *end + ")";
        throw;
    }
}

void Commands::require_replaceable_file() const
{
    if (options_.file != "-" && std::filesystem::exists(options_.file) &&
        !std::filesystem::is_regular_file(options_.file))
        throw Error(Reason::invalid_argument, options_.file + " is not a regular file (- is stdout)");
}

void Commands::write(BytesView content) const
{
    if (options_.file != "-")
        return write_file(options_.file, content, 0644);
    std::cout.write(as_text(content).data(), static_cast<std::streamsize>(content.size())).flush();
    if (!std::cout)
        throw Error(Reason::storage_failed, "cannot write to stdout");
}

Client::Progress Commands::progress()
{
    if (!output_.wants_progress())
        return {};
    return [this](unsigned percent, const std::string& step) { output_.progress(percent, step); };
}

void Commands::change(const char* method, const Client::Arguments& arguments)
{
    client_.call(method, arguments, progress());
    output_.end_progress();
    output_.done(client_.properties());
}

bool Commands::recovered_from(const std::string& source)
{
    const auto pass_over = [&](const Failure& failure) {
        output_.end_progress();
        output_.passed_over(source, failure);
    };
    try {
        recover_from(source);
        return true;
    } catch (const Failure& failure) {
        if (failure.exit != Exit::refused && failure.exit != Exit::peer_unreachable)
            throw;
        pass_over(failure);
    } catch (const Error& error) {
        pass_over(failure_of(error.refusal()));
    }
    return false;
}

void Commands::recover_from(const std::string& source)
{
    if (!source.empty() && !is_archive(source))
        return recover_from_record(read_record(source, client_.properties(), options_.sequence));
    recover_by(options_.check ? "CheckRecovery" : "Recover",
               [&](sd_bus_message* call) { return sd_bus_message_append(call, "s", source.c_str()); });
}

void Commands::recover_from_record(const Bytes& record)
{
    recover_by(options_.check ? "CheckRestore" : "Restore", [&](sd_bus_message* call) {
        return sd_bus_message_append_array(call, 'y', record.data(), record.size());
    });
}

void Commands::recover_by(const char* method, const Client::Arguments& source)
{
    const auto arguments = [&](sd_bus_message* call) {
        if (const int result = source(call); result < 0)
            return result;
        return options_.sequence ? sd_bus_message_append(call, "a{sv}", 1, "sequence", "t", *options_.sequence)
                                 : sd_bus_message_append(call, "a{sv}", 0);
    };
    if (!options_.check)
        return change(method, arguments);
    const auto answer = client_.call(method, arguments, progress());
    output_.end_progress();
    output_.report(read_dictionary(answer.get()));
}

} // namespace imprint::ctl
