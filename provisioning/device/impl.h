// SPDX-License-Identifier: Apache-2.0
// The inside of Device. One long call at a time works on `known_`; the properties are copies of their own.
#pragma once

#include "backup/recovery/restore.h"
#include "provisioning/device/channels.h"
#include "provisioning/device/conversation.h"
#include "provisioning/device/knowledge.h"

#include <initializer_list>
#include <mutex>

namespace imprint::device {

class Device::Impl {
public:
    Impl(tpm::Worker& worker, Settings settings);

    void refresh();
    Status status() const;
    Bytes record() const;
    void update_central(BytesView set);
    std::vector<Bytes> central_pins() const;
    Channels& channels() { return channels_; }
    KeyInfo key(const std::string& label) const;
    Secret use_key(const KeyUse& use) { return device::use_key(worker_, keys_file(), use); }

    // Runs a long call, and brings the key files in line with where it led; if it fails, looks at TPM and files anew,
    // so that the properties say what is left.
    template <class F>
    void guard(F call)
    {
        try {
            call();
            // Without a directory the start has seen to it that there are none.
            if (!settings_.key_file_directory.empty() && align_key_files())
                publish();
        } catch (...) {
            look_again();
            throw;
        }
    }

    // personalize.cpp
    void personalize(Link station, bool switch_afterwards, const Progress& progress, const tls::Cancel& cancel,
                     const Presented& presented);

    // lifecycle.cpp
    void enter_operating(const Progress& progress);
    void enter_personalization(const Progress& progress);
    void adopt_root(const Progress& progress);

    // recover.cpp
    using Sequence = std::optional<std::uint64_t>;
    void recover(const std::string& archive, Sequence sequence, const Progress& progress, const tls::Cancel& cancel);
    void restore(BytesView bytes, Sequence sequence, const Progress& progress);

    // check_recovery.cpp
    Recoverable check_recovery(const std::string& archive, Sequence sequence, const Progress& progress,
                               const tls::Cancel& cancel);
    Recoverable check_restore(BytesView bytes, Sequence sequence, const Progress& progress);

private:
    using State = lifecycle::State;

    void look_again() noexcept;
    bool align_key_files(); // whether it changed what is shown of them
    void reload(); // files only
    void publish();
    lifecycle::Personalization operating_file(const std::string& what) const; // read anew
    lifecycle::Personalization keys_file() const; // the same, or what a recovery left
    void publish_channels();
    const tls::Provider& provider();
    void require(std::initializer_list<State> allowed, const std::string& what) const;
    void require_intact_files() const;

    // lifecycle.cpp
    // Whether the note that a preparation has begun goes at its end, or stays until end_preparation().
    enum class Note { ends, stays };
    // Makes the TPM ready where it is not; a chip that has no file yet gets this name, if one of its keys has it.
    void ensure_prepared(const pki::Trust& trust, const std::string& chip_identifier, Note note);
    void end_preparation();
    void give_up_damaged_files();
    void require_epoch_as_known(); // asks the TPM
    void withdraw_key_files();
    void increment_to(std::uint64_t epoch);
    void move_past(std::uint64_t odd_epoch);
    void switch_to_operating();

    // personalize.cpp
    enum class Outcome { complete, sequence_burnt, introduction_wanted };
    // What stays the same from one attempt to the next.
    struct Attempt {
        const pki::Trust& trust;
        const Progress& progress;
        const tls::Cancel& cancel;
        const protocol::IntroductionCode* introduction;
        const std::optional<pki::DeviceIdentity>& requested;
    };
    void personalize_epoch(Link station, Attempt attempt);
    Outcome try_once(Link station, const Attempt& attempt);
    Outcome resume(Conversation& conversation, const lifecycle::Personalization& pending, const pki::Trust& trust);
    Outcome converse(Conversation& conversation, const Attempt& attempt);

    // recover.cpp
    void require_recoverable(const std::string& what) const;
    bool lost_in_operation() const;
    Sequence due() const;
    recovery::Wanted wanted(Sequence chosen) const;
    package::Record find(const std::string& archive, const recovery::Wanted& wants, const pki::Trust& trust,
                         const tls::Cancel& cancel) const;
    void require_past(const package::Record& record) const;
    void use(const package::Record& record, const pki::Trust& trust, const Progress& progress);
    void use_whole(const package::Record& record, const pki::Trust& trust, const Progress& progress);
    void use_data_keys(const package::Record& record, const pki::Trust& trust, const Progress& progress);

    // check_recovery.cpp
    void require_checkable(const std::string& what) const;
    recovery::Wanted wanted_by_check(Sequence chosen) const;
    Recoverable try_out(const package::Record& record, const pki::Trust& trust, const Progress& progress);

    std::size_t key_of(const std::string& chip_identifier) const;

    tpm::Worker& worker_;
    const Settings settings_;
    const lifecycle::Store store_;
    Knowledge known_;
    std::optional<tls::Provider> provider_; // made once: OpenSSL numbers what it loads and takes no number back
    std::mutex files_mutex_; // held while a central set goes from an update into the files and from there into status_
    mutable std::mutex mutex_; // guards the two below
    Status status_;
    Bytes record_;
    Channels channels_; // last: its threads use the rest
};

// Progress as a caller wants it: never falling, and the place where a cancelled call ends.
Progress checked(const Progress& progress, const tls::Cancel* cancel);

} // namespace imprint::device
