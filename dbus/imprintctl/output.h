// SPDX-License-Identifier: Apache-2.0
// What imprintctl shows: for people on a terminal, for people reading a log, and for programs.
#pragma once

#include "dbus/imprintctl/failure.h"

#include <nlohmann/json.hpp>

#include <string>

namespace imprint::ctl {

struct Style {
    bool json = false; // one JSON document on stdout, nothing else
    bool quiet = false; // nothing but errors, and what was asked for
};

class Output {
public:
    explicit Output(Style style);

    // On stderr: a bar that is drawn over itself on a terminal, a line a step otherwise.
    bool wants_progress() const { return !style_.json && !style_.quiet; }
    void progress(unsigned percent, const std::string& step);
    void end_progress();

    void status(const nlohmann::ordered_json& properties) const;
    // After a call that changed the state; silent in quiet style.
    void done(const nlohmann::ordered_json& properties) const;
    // What CheckRecovery and CheckRestore tell.
    void report(const nlohmann::ordered_json& report) const;
    void failure(const Failure& failure) const;
    // One of several ways did not lead on, and the next one is tried: a line on stderr, but for programs.
    void passed_over(const std::string& source, const Failure& failure) const;
    void key(const nlohmann::ordered_json& key) const; // as GetKey describes it
    void document(const nlohmann::ordered_json& document) const; // for programs, to stdout
    void line(const std::string& text) const; // of what was asked for, to stdout

private:
    Style style_;
    bool terminal_;
    bool bar_shown_ = false;
};

} // namespace imprint::ctl
