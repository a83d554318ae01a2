// SPDX-License-Identifier: Apache-2.0
// The wire between a virtual machine and its TPM: it knows each command that passes, and can hold one.
#pragma once

#include "daemon/base/file.h"

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace imprint::test {

// An instant in what a TPM has to do.
struct Place {
    enum class Side { before, after };

    std::uint32_t command = 0; // TPM2_CC_...
    unsigned nth = 1; // of the same ones, counted from when the line was asked to hold it
    Side side = Side::before; // which the TPM has not seen; or has done, and nobody knows

    std::string name() const; // "before the 2nd Create"
};

class TpmLine {
public:
    TpmLine();
    ~TpmLine();
    TpmLine(const TpmLine&) = delete;
    TpmLine& operator=(const TpmLine&) = delete;

    // What QEMU and swtpm are started with (control channels, not data); they are closed here by started().
    int machines_end() const { return machines_end_.get(); }
    int tpms_end() const { return tpms_end_.get(); }
    void started();

    // From now on; nothing passes any more once it is there.
    void hold(const Place& place);
    // Readable once it is there.
    int held() const { return held_.get(); }

private:
    using Side = Place::Side;

    // One channel: bytes from one end come out at the other.
    struct Channel {
        Fd machine, tpm;
    };

    void run();
    bool pass_control(const Fd& from, const Fd& to);
    bool pass_data(const Fd& from, const Fd& to, Side side);
    // Notes what stands there; whether it may pass.
    bool passes(std::uint32_t command, Side side);

    Fd machines_end_, tpms_end_;
    Channel control_, data_;
    Channel held_channel_; // data_, once it is held
    Fd held_, stop_;

    std::mutex mutex_;
    std::optional<Place> place_;
    std::map<std::uint32_t, unsigned> seen_; // since hold()

    Bytes pending_; // of a command or an answer that has not come whole
    std::uint32_t command_ = 0; // the TPM is busy with it
    std::jthread thread_;
};

} // namespace imprint::test
