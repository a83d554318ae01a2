// SPDX-License-Identifier: Apache-2.0
// A serial cable: two terminal lines whose other ends this joins, with a test's hand on the bytes.
#pragma once

#include "tests/support/process.h"

#include <mutex>
#include <thread>

namespace imprint::test {

class SerialCable {
public:
    enum class Towards { device, station };
    // From the byte `at` on, counted from the fault's setting: that byte is changed; or nothing more gets through; or
    // both lines hang up, as when an adapter is pulled out.
    struct Fault {
        enum class Kind { flip, stall, hang_up };
        Towards towards = Towards::device;
        Kind kind = Kind::flip;
        std::size_t at = 0;
    };

    SerialCable();
    ~SerialCable();

    // Names that stay when the lines are plugged in again.
    std::string device() const { return "serial:" + (directory_ / "ttyDevice").string(); }
    std::string station() const { return "serial:" + (directory_ / "ttyStation").string(); }

    void set(std::optional<Fault> fault); // counts from here on
    // What went towards one side since then, or would have.
    Bytes passed(Towards side);
    void say(Towards side, BytesView bytes); // noise on the line
    void plug_in(); // new lines under the old names

private:
    struct End {
        Fd master;
        Fd slave; // kept, so that the line does not hang up when a program leaves it
        Bytes passed; // towards this end
    };

    void open(End& end, const std::string& name);
    void run();
    void forward(End& from, End& to, Towards side);
    void write_all(const End& to, BytesView bytes) const;

    TemporaryDirectory directory_;
    Fd stop_;
    std::mutex mutex_; // guards all below
    End device_, station_;
    std::optional<Fault> fault_;
    std::jthread thread_;
};

} // namespace imprint::test
