// SPDX-License-Identifier: Apache-2.0
// What each command of imprintctl does.
#pragma once

#include "dbus/imprintctl/client.h"
#include "dbus/imprintctl/connect.h"
#include "dbus/imprintctl/introduction.h"
#include "dbus/imprintctl/key.h"
#include "dbus/imprintctl/output.h"

namespace imprint::ctl {

// What the command line says. A member is filled by the command that has it.
struct Options {
    Style style;
    std::string address; // personalize; empty: as configured
    std::vector<std::string> sources; // recover; none: the archive as configured
    std::optional<std::uint64_t> sequence; // recover, restore
    bool check = false; // recover
    std::string proxy_command; // personalize
    std::string number_file, ticket_file; // personalize; empty: none
    std::string identity; // personalize; empty: whatever the station gives
    bool no_switch = false;
    std::string file = "-"; // export-backup, export-certificate, restore, update-central
    Target central; // connect
    std::string listen; // connect
    bool chain = false; // export-certificate
    bool public_key = false;
    KeyRequest key;
};

// One for each run: the first call connects to the bus.
class Commands {
public:
    explicit Commands(const Options& options);

    void status();
    void personalize();
    void enter_operating();
    void enter_personalization();
    void export_backup();
    void export_certificate();
    void connect();
    void recover(); // the first source that leads on
    void restore();
    void update_central();
    void link();
    void adopt_root();
    void cancel();
    void key();

    void end_progress();

private:
    // False: the station wants a transaction number, and somebody is there to type it.
    bool personalized_as_it_is();
    void personalize_once();
    int append_options(sd_bus_message* call);
    // The way to the station is the caller's: the daemon needs no right to the line.
    void personalize_over(int descriptor);
    void personalize_through_command();
    // Anything else would be replaced, /dev/null for example.
    void require_replaceable_file() const;
    void write(BytesView content) const;
    Client::Progress progress();
    void change(const char* method, const Client::Arguments& arguments);
    // False: this source does not lead on, but another one may.
    bool recovered_from(const std::string& source);
    void recover_from(const std::string& source);
    void recover_from_record(const Bytes& record);
    void recover_by(const char* method, const Client::Arguments& source);

    const Options& options_;
    std::optional<GivenIntroduction> introduction_;
    Output output_;
    Client client_;
};

} // namespace imprint::ctl
