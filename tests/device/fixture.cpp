// SPDX-License-Identifier: Apache-2.0
#include "tests/device/fixture.h"

#include "backup/recovery/restore.h"
#include "daemon/lifecycle/store.h"
#include "daemon/structures/templates.h"
#include "daemon/tls/provider.h"

namespace imprint::test {

namespace {

constexpr std::uint64_t never = std::numeric_limits<std::size_t>::max();

tpm::Settings bare_settings()
{
    tpm::Settings settings;
    settings.tcti = "test"; // no resource manager
    return settings;
}

} // namespace

const TestPki& manufacturer()
{
    static const TestPki pki;
    return pki;
}

TestDevice::TestDevice(SoftwareTpm::Kind kind, unsigned chip)
    : tpm(kind, SoftwareTpm::Access::descriptor, chip)
{
    settings.state_directory = directory_.path();
    settings.trust_bundle = bundle_ / "trust.pem";
    settings.connect_timeout = std::chrono::seconds(20);
    write_file(settings.trust_bundle, manufacturer().trust_pem());
    boot();
}

TestDevice::~TestDevice()
{
    device_.reset();
    worker_.reset();
}

void TestDevice::boot()
{
    device_.reset();
    worker_ = std::make_unique<tpm::Worker>(
        [this] { return std::make_unique<tpm::SecurityModule>(tpm::Connection(wire.tcti()), bare_settings()); });
    device_ = std::make_unique<device::Device>(*worker_, settings);
    device_->refresh();
}

void TestDevice::kill()
{
    cut_after(0);
    device_.reset();
    worker_.reset();
    mend();
}

void TestDevice::cut_after(std::size_t after)
{
    const std::size_t last = after > never - wire.count() ? never : wire.count() + after;
    wire.before = [last](std::size_t number, std::uint32_t) {
        return number > last ? std::optional<TSS2_RC>(TSS2_TCTI_RC_IO_ERROR) : std::nullopt;
    };
}

void TestDevice::mend() { wire.before = {}; }

device::Progress TestDevice::recorder()
{
    progress.clear();
    return [this](unsigned percent, const std::string& step) { progress.emplace_back(percent, step); };
}

void TestDevice::personalize(const TestStation& station, bool switch_afterwards)
{
    personalize(station.address(), switch_afterwards);
}

void TestDevice::personalize(const std::string& address, bool switch_afterwards)
{
    device_->personalize(address, switch_afterwards, recorder(), cancel);
}

void TestDevice::recover(const std::string& archive, std::optional<std::uint64_t> sequence)
{
    device_->recover(archive, sequence, recorder(), cancel);
}

void TestDevice::restore(BytesView record, std::optional<std::uint64_t> sequence)
{
    device_->restore(record, sequence, recorder(), cancel);
}

std::map<std::string, Bytes> TestDevice::files() const
{
    std::map<std::string, Bytes> files;
    for (const auto& entry : std::filesystem::directory_iterator(directory_.path()))
        files[entry.path().filename().string()] = read_file(entry.path(), lifecycle::max_file).value();
    return files;
}

void TestDevice::lose_disk() const
{
    for (const auto& [name, content] : files())
        std::filesystem::remove(file(name));
}

std::vector<tpm::EndorsementKey> TestDevice::endorsement_keys()
{
    return worker_->call([](tpm::SecurityModule& module) { return module.endorsement_keys(); });
}

Bytes TestDevice::sign(std::uint64_t sequence, BytesView message)
{
    const auto content = lifecycle::Store(directory_.path()).load();
    const auto& key = content.personalizations.at(sequence).module_key();
    return worker_->call([&](tpm::SecurityModule& module) {
        return module.sign_with_module_key(as_bytes(key.object()), as_bytes(key.sensitive()), sequence, message);
    });
}

Bytes TestDevice::sign_record(const package::RecordContent& content)
{
    static const tls::Provider provider;
    const auto identity = pki::Certificate::from_der(as_bytes(content.identity_certificate())).or_throw();
    const auto key = provider.key(identity.spki(), [this](BytesView message) {
        return worker_->call([&](tpm::SecurityModule& module) { return module.sign_with_identity_key(message); });
    });
    return package::make_record(content, identity, key.get(), {});
}

package::RecordContent TestDevice::repack(package::RecordContent content,
                                          const std::function<void(package::DataPackage&)>& change)
{
    const Secret secret = random_secret(package::secret_size);
    worker_->call([&](tpm::SecurityModule& module) {
        tpm::SecurityModule::Work work(module);
        auto backup = recovery::open_backup(work, content).or_throw();
        package::DataPackage data;
        data.ParseFromString(backup.data_package());
        change(data);
        backup.set_data_package(data.SerializeAsString());
        backup.clear_padding();
        content.set_backup_package(to_string(package::seal(std::move(backup), secret)));
        const auto sealed = structures::wrap(module.storage_key(), structures::sealed_secret_template(), secret);
        auto& carried = *content.mutable_sealed_secret();
        carried.set_object(to_string(sealed.object));
        carried.set_duplicate(to_string(sealed.duplicate));
        carried.set_seed(to_string(sealed.seed));
    });
    return content;
}

std::size_t TestDevice::leftovers() const
{
    std::size_t count = 0;
    for (const std::uint8_t kind : {TPM2_HT_TRANSIENT, TPM2_HT_LOADED_SESSION}) {
        Bytes get_handles{0x80, 0x01, 0, 0, 0, 22, 0, 0, 0x01, 0x7a, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 32};
        get_handles[14] = kind;
        count += tpm.send(get_handles).at(18);
    }
    return count;
}

void TestDevice::increment()
{
    worker_->call([](tpm::SecurityModule& module) { module.increment_epoch(); });
}

} // namespace imprint::test
