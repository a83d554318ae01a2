// SPDX-License-Identifier: Apache-2.0
#include "provisioning/device/device.h"

#include "provisioning/device/impl.h"

namespace imprint::device {

namespace {

pki::Time now() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

std::uint64_t number_of(const std::optional<lifecycle::Personalization>& file)
{
    if (!file || file->central_set().empty())
        return 0;
    const auto set = protocol::read_central_set(as_bytes(file->central_set()));
    return set ? set->number : 0;
}

} // namespace

Device::Impl::Impl(tpm::Worker& worker, Settings settings)
    : worker_(worker)
    , settings_(std::move(settings))
    , store_(settings_.state_directory)
    , channels_(settings_.connect_timeout)
{
}

void Device::Impl::refresh()
{
    known_ = look(worker_, store_, settings_, known_);
    align_key_files();
    publish();
}

// Where the TPM cannot be reached, nobody knows which state they should follow.
bool Device::Impl::align_key_files()
{
    if (known_.state == State::tpm_unavailable)
        return false;
    const auto before = std::exchange(known_.key_files,
                                      device::align_key_files(worker_, settings_.key_file_directory, known_.in_use()));
    return before.written != known_.key_files.written || before.problems != known_.key_files.problems;
}

void Device::Impl::look_again() noexcept
{
    try {
        // Whatever went wrong may have left the connection to the TPM half way through something.
        worker_.forget();
        refresh();
    } catch (...) {
        // The first failure is the one to report.
        return;
    }
}

void Device::Impl::reload()
{
    device::reload(known_, store_);
    publish();
}

void Device::Impl::publish()
{
    Status status = status_of(known_);
    // An update may have come after `known_` was read.
    const std::lock_guard files_lock(files_mutex_);
    if (const auto* current = known_.current(); current != nullptr)
        status.central_set = number_of(store_.personalization(current->sequence()));
    const auto* newest = known_.files.newest();
    Bytes record = newest != nullptr ? to_bytes(newest->record()) : Bytes();
    {
        const std::lock_guard lock(mutex_);
        status_ = std::move(status);
        record_ = std::move(record);
    }
    publish_channels();
}

// Where the TPM cannot be reached, the state may still be operating: what is connected stays so.
void Device::Impl::publish_channels()
{
    try {
        require({State::operating}, "Connect");
        auto next = operating(*known_.current(), read_trust(settings_), provider(), worker_);
        next.central_keys = [this] { return central_pins(); };
        next.update_central = [this](BytesView set) { update_central(set); };
        if (settings_.transaction_keys)
            next.transactions = std::make_shared<TransactionKeys>(worker_, store_, known_.chip_identifier, next.epoch);
        channels_.publish(std::make_shared<const Operating>(std::move(next)));
    } catch (const Error& error) {
        if (known_.state == State::operating || known_.state == State::tpm_unavailable)
            channels_.refuse(error.refusal());
        else
            channels_.end(error.refusal());
    }
}

const tls::Provider& Device::Impl::provider()
{
    if (!provider_)
        provider_.emplace();
    return *provider_;
}

Status Device::Impl::status() const
{
    const std::lock_guard lock(mutex_);
    Status status = status_;
    status.channels = channels_.count();
    return status;
}

Bytes Device::Impl::record() const
{
    const std::lock_guard lock(mutex_);
    if (record_.empty())
        throw Error(Reason::wrong_state, "this device has no record yet");
    return record_;
}

lifecycle::Personalization Device::Impl::operating_file(const std::string& what) const
{
    const Status now_known = status();
    auto file = now_known.state == State::operating ? store_.personalization(now_known.epoch) : std::nullopt;
    if (!file || !file->receipt())
        throw Error(Reason::wrong_state, what + " is possible in the operating state alone");
    return *std::move(file);
}

lifecycle::Personalization Device::Impl::keys_file() const
{
    const auto state = status().state;
    if (state != State::recovered)
        return operating_file("the use of a key");
    auto recovered = store_.load().recovered;
    if (!recovered)
        throw Error(Reason::wrong_state, "the recovered keys are gone");
    return *std::move(recovered);
}

KeyInfo Device::Impl::key(const std::string& label) const
{
    auto info = describe(find_key(keys_file(), label));
    const std::lock_guard lock(mutex_);
    if (const auto file = status_.key_files.find(label); file != status_.key_files.end())
        info.key_file_path = file->second;
    return info;
}

// The file is read, judged and written under one lock: of two updates the one with the higher number stays.
void Device::Impl::update_central(BytesView set)
{
    const auto trust = read_trust(settings_);
    const std::lock_guard files_lock(files_mutex_);
    auto file = updated(operating_file("UpdateCentral"), set, trust, settings_.central, now()).or_throw();
    if (!file)
        return;
    store_.save(*file);
    const auto number = number_of(file);
    const std::lock_guard lock(mutex_);
    status_.central_set = number;
}

std::vector<Bytes> Device::Impl::central_pins() const
{
    const auto file = operating_file("a connection to the central system");
    if (file.central_set().empty())
        return {};
    const auto set = protocol::read_central_set(as_bytes(file.central_set()));
    if (!set)
        throw Error(Reason::storage_failed, "the central system's keys in the files are damaged");
    return protocol::pins(*set);
}

void Device::Impl::require(std::initializer_list<State> allowed, const std::string& what) const
{
    const State state = known_.state;
    if (std::ranges::count(allowed, state) > 0)
        return;
    const std::string notes = known_.detail();
    const std::string detail = what + " is not possible in the state " + std::string(name(state)) + ": " +
        std::string(hint(state)) + (notes.empty() ? "" : " (" + notes + ")");
    switch (state) {
    case State::tpm_unavailable:
        throw Error(known_.fault, detail);
    case State::tpm_replaced:
        throw Error(Reason::tpm_replaced, detail);
    case State::anchor_mismatch:
        throw Error(Reason::anchor_mismatch, detail);
    case State::epoch_foreign:
        throw Error(Reason::epoch_index_invalid, detail);
    default:
        throw Error(Reason::wrong_state, detail);
    }
}

void Device::Impl::require_intact_files() const
{
    if (!known_.files.damaged.empty())
        throw Error(Reason::storage_failed, known_.files.damaged.front() + "; EnterPersonalization gives it up");
}

Progress checked(const Progress& progress, const tls::Cancel* cancel)
{
    // Shared, for a Progress is copied.
    return [&progress, cancel, highest = std::make_shared<unsigned>(0)](unsigned percent, const std::string& step) {
        if (percent < 100 && cancel != nullptr && cancel->cancelled()) // what is done is done
            throw Error(Reason::cancelled, "cancelled before " + step);
        *highest = std::max(*highest, percent);
        if (progress)
            progress(*highest, step);
    };
}

Device::Device(tpm::Worker& worker, Settings settings)
    : impl_(std::make_unique<Impl>(worker, std::move(settings)))
{
}

Device::~Device() = default;

void Device::refresh() { impl_->refresh(); }

Status Device::status() const { return impl_->status(); }

void Device::update_central(BytesView set) { impl_->update_central(set); }

std::vector<Bytes> Device::central_pins() const { return impl_->central_pins(); }

void Device::personalize(Link station, bool switch_afterwards, const Progress& progress, const tls::Cancel& cancel,
                         const Presented& presented)
{
    impl_->guard([&] {
        impl_->personalize(std::move(station), switch_afterwards, checked(progress, &cancel), cancel, presented);
    });
}

void Device::enter_operating(const Progress& progress)
{
    impl_->guard([&] { impl_->enter_operating(checked(progress, nullptr)); });
}

void Device::enter_personalization(const Progress& progress)
{
    impl_->guard([&] { impl_->enter_personalization(checked(progress, nullptr)); });
}

void Device::adopt_root(const Progress& progress)
{
    impl_->guard([&] { impl_->adopt_root(checked(progress, nullptr)); });
}

Bytes Device::export_backup() const { return impl_->record(); }

void Device::recover(const std::string& archive, std::optional<std::uint64_t> sequence, const Progress& progress,
                     const tls::Cancel& cancel)
{
    impl_->guard([&] { impl_->recover(archive, sequence, checked(progress, &cancel), cancel); });
}

void Device::restore(BytesView record, std::optional<std::uint64_t> sequence, const Progress& progress,
                     const tls::Cancel& cancel)
{
    impl_->guard([&] { impl_->restore(record, sequence, checked(progress, &cancel)); });
}

// Nothing was changed that a failure could leave half done.
Recoverable Device::check_recovery(const std::string& archive, std::optional<std::uint64_t> sequence,
                                   const Progress& progress, const tls::Cancel& cancel)
{
    return impl_->check_recovery(archive, sequence, checked(progress, &cancel), cancel);
}

Recoverable Device::check_restore(BytesView record, std::optional<std::uint64_t> sequence, const Progress& progress)
{
    return impl_->check_restore(record, sequence, checked(progress, nullptr));
}

KeyInfo Device::key(const std::string& label) const { return impl_->key(label); }

Secret Device::use_key(const KeyUse& use) { return impl_->use_key(use); }

void Device::open_channel(ChannelRequest request, ChannelOpened opened)
{
    impl_->channels().open(std::move(request), std::move(opened));
}

void Device::watch_channels(std::function<void()> changed) { impl_->channels().watch(std::move(changed)); }

void Device::end_channels() { impl_->channels().end({Reason::cancelled, "imprintd is stopping"}); }

} // namespace imprint::device
