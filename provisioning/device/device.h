// SPDX-License-Identifier: Apache-2.0
// The device's long calls, as the D-Bus interface offers them. Each runs on a thread of its caller's, may wait for the
// network until its deadlines, and throws Error with the device in one of its whole states.
#pragma once

#include "daemon/base/file.h"
#include "daemon/lifecycle/state.h"
#include "daemon/pki/verify.h"
#include "daemon/tls/stream.h"
#include "daemon/tpm/worker.h"
#include "provisioning/device/central.h"
#include "provisioning/device/data_keys.h"
#include "provisioning/device/input_unit.h"
#include "provisioning/device/progress.h"

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <variant>

namespace imprint::device {

struct Settings {
    std::filesystem::path state_directory; // /var/lib/imprint
    std::filesystem::path trust_bundle; // /usr/share/imprint/trust.pem
    std::filesystem::path key_file_directory; // empty: no key files
    std::chrono::seconds connect_timeout{10};
    std::chrono::seconds message_timeout{60}; // for each answer of the station
    bool transaction_keys = true; // to be had from the central system, for connections without the module key
    CentralPolicy central;
    InputUnit input_unit;
};

// What the D-Bus properties show. Read from memory: never waits for the TPM.
struct Status {
    lifecycle::State state = lifecycle::State::tpm_unavailable;
    std::uint64_t epoch = 0;
    std::string chip_identifier;
    std::string identity_kind, identity_value; // empty before the first personalization
    Bytes module_certificate; // DER; of the coming or current epoch; empty if there is none
    Bytes identity_certificate; // DER
    std::uint64_t sequence = 0; // of the newest record; 0 if there is none
    bool ready_to_switch = false; // EnterOperating would work
    std::vector<std::string> keys; // labels of the data package's keys
    std::map<std::string, std::filesystem::path> key_files; // those of them that programs find as files, by label
    std::uint64_t central_set = 0; // number of the current personalization's set; 0 if it has none
    std::string tpm_vendor, tpm_firmware;
    std::string detail; // for states that need explaining
    std::size_t channels = 0; // to the central system, open now
    std::vector<Bytes> certificate_chain; // DER: the module certificate and its issuers, the anchor left out
};

// What a record would give back.
struct Recoverable {
    std::string chip_identifier;
    std::uint64_t sequence = 0;
    pki::Time recorded; // by the device's clock
    std::string identity_kind, identity_value;
    std::vector<std::string> keys; // labels of the data package's keys
    bool operating = false; // the module key too: the device would be operating again
};

inline constexpr std::uint16_t central_port = 7445; // where an address of the central system names none

// A connection to the central system for a local program.
struct ChannelRequest {
    std::string address; // "host", "host:port", "unix:/path"
    std::string alpn; // application protocol; empty: none
    std::optional<std::chrono::seconds> timeout; // for connecting and the handshake; not given: as configured
    std::string socket; // path of a Unix socket at which the program waits for the channel; empty: it gets a descriptor
    uid_t owner = 0; // who has to be listening there
};
// The program's end (none where it waits at a socket), or why there is none. On a thread of the device's.
using ChannelOpened = std::function<void(Result<Fd> opened)>;

// What the station is shown beside the device's proofs.
struct Presented {
    // Nothing: where the station wants a transaction number, the input unit is asked for one, if there is any.
    const protocol::IntroductionCode* introduction = nullptr;
    std::optional<pki::DeviceIdentity> requested; // who the device is to be
};

class Device {
public:
    Device(tpm::Worker& worker, Settings settings);
    ~Device();

    // Looks at TPM and files anew.
    void refresh();
    Status status() const; // a copy; any thread

    // An address ("host:port", "unix:/path", "serial:/dev/NAME") or a descriptor: a connected socket or a terminal
    // line.
    using Link = std::variant<std::string, Fd>;
    void personalize(Link station, bool switch_afterwards, const Progress& progress, const tls::Cancel& cancel,
                     const Presented& presented = {});
    void enter_operating(const Progress& progress);
    void enter_personalization(const Progress& progress);
    // Makes the TPM remember the bundle's checking key instead of an earlier one that certified it. One write; nothing
    // if it does so already. Error(root_not_certified).
    void adopt_root(const Progress& progress);
    Bytes export_backup() const; // the newest record's bytes; Error(wrong_state) if there is none

    // From the address of an archive or a mirror ("http://host:port/path") or from a record handed in. After TPM2_Clear
    // it prepares the TPM anew. In an odd epoch that epoch's record is the only right one; elsewhere `sequence` chooses
    // one, or the archive says which is the newest (Error(newest_unproven) where it cannot). What is refused changes
    // neither files nor TPM.
    void recover(const std::string& archive, std::optional<std::uint64_t> sequence, const Progress& progress,
                 const tls::Cancel& cancel);
    void restore(BytesView record, std::optional<std::uint64_t> sequence, const Progress& progress,
                 const tls::Cancel& cancel);
    // Whether they would work on this TPM if its disk were lost now, by doing all of it but the end: nothing is
    // written, and no counter moves. In any state with a TPM that is this device's. The same errors, and
    // Error(key_mismatch) if other keys would come back than the files have.
    Recoverable check_recovery(const std::string& archive, std::optional<std::uint64_t> sequence,
                               const Progress& progress, const tls::Cancel& cancel);
    Recoverable check_restore(BytesView record, std::optional<std::uint64_t> sequence, const Progress& progress);

    // Takes an update of the central system's keys, which a station has signed. Durable when it returns; the same set
    // once more is no error. Any thread, beside a long call too. Throws Error: wrong_state, and why it is refused.
    void update_central(BytesView set);
    // The keys that the central system is to have: SHA-256 of each SubjectPublicKeyInfo, the present key first; nothing
    // where the station gave none. Any thread. Throws Error(wrong_state) but in the operating state.
    std::vector<Bytes> central_pins() const;
    // The data package's keys, by label, where the device has them: operating or recovered, otherwise
    // Error(wrong_state). Any thread, beside a long call too; key() does not wait for the TPM, use_key() does.
    KeyInfo key(const std::string& label) const;
    Secret use_key(const KeyUse& use);
    // Many at once, and at any time; none of these waits for the network. In any state but operating:
    // Error(wrong_state).
    void open_channel(ChannelRequest request, ChannelOpened opened);
    void watch_channels(std::function<void()> changed); // called on a thread of the device's; empty: not any more
    // Ends all; returns when there is none any more, nor one on its way. No new ones until the next look at the device.
    void end_channels();

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

} // namespace imprint::device
