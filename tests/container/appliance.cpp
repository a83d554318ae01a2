// SPDX-License-Identifier: Apache-2.0
#include "tests/container/appliance.h"

#include "tests/container/layer.h"
#include "tests/support/manufacture.h"

#include <stdexcept>

namespace imprint::test {

namespace {

const std::string tcti_directory = "/opt/imprint-test";
const std::string tpm_socket = "/run/test-tpm/tpm.sock";

const std::string tpm_unit = R"([Unit]
Description=A software TPM for tests
[Service]
RuntimeDirectory=test-tpm
ExecStart=swtpm socket --tpm2 --tpmstate dir=/var/lib/test-tpm --flags not-need-init,startup-clear \
    --server type=unixio,path=/run/test-tpm/tpm.sock,mode=0666 --ctrl type=unixio,path=/run/test-tpm/tpm.sock.ctrl,mode=0666
Environment=TPM2TOOLS_TCTI=swtpm:path=/run/test-tpm/tpm.sock TSS2_LOG=all+none
ExecStartPost=sh -c 'until [ -S /run/test-tpm/tpm.sock.ctrl ] && tpm2_getrandom 1; do :; done >/dev/null 2>&1'
)";

std::filesystem::path test_tcti_path() { return IMPRINT_TEST_TCTI; }

std::string device_configuration(const std::string& tcti)
{
    return "[Device]\nArchiveAddress=" + std::string(Appliance::archive) +
        "\n[Central]\nAddress=" + Appliance::central + "\n[TPM]\nTCTI=" + tcti + "\n";
}

std::string test_tcti_configuration(const std::string& options)
{
    return tcti_directory + "/" + test_tcti_path().filename().string() + ":path=" + tpm_socket +
        (options.empty() ? "" : "," + options);
}

// As the manual pages say it.
const std::string factory_script = R"(
cd /root
authority() { imprint-authority --directory authority "$@" >/dev/null; }
authority init --name 'Example Manufacturer'
authority station line-1 --host 127.0.0.1 --delegate-identity-ca --output station
authority archive main --host 127.0.0.1 --output archive
authority central main --host 127.0.0.1 --output central
mkdir -p /usr/share/imprint /etc/credstore.encrypted
imprint-authority --directory authority trust-bundle >/usr/share/imprint/trust.pem
for server in station archive central; do
    mkdir -p /etc/imprint-$server
    cp $server/*.pem /etc/imprint-$server
    for key in $server/*.key; do
        name=${key#*/}
        systemd-creds encrypt --with-key=host --name=$name $key /etc/credstore.encrypted/imprint-$server.$name
    done
done 2>/dev/null
cat >/etc/imprint-station/station.conf <<END
[serve]
listen = "127.0.0.1:7443"
archive = "https://127.0.0.1:7444"
vendor-ca = "/etc/imprint-station/vendor.pem"
END
cat >/etc/imprint-archive/archive.conf <<END
trust = "/etc/imprint-archive/trust.pem"
[serve]
certificate = "/etc/imprint-archive/tls.pem"
listen = "127.0.0.1:7480"
listen-tls = "127.0.0.1:7444"
END
cat >/etc/imprint-central/central.conf <<END
[serve]
listen = "127.0.0.1:7445"
archive = "http://127.0.0.1:7480"
END
imprint-station init >/dev/null
imprint-station central add --certificate central/tls.pem >/dev/null
imprint-station identity range --prefix SN --width 6 --from 1 --to 999999 >/dev/null
systemctl --quiet enable imprint-archive imprint-station imprint-central
)";

constexpr std::size_t max_state = 1 << 20;

void prepare(const Container& container)
{
    container.write("/etc/systemd/system/test-tpm.service", tpm_unit);
    container.write("/var/lib/test-tpm/tpm2-00.permall", to_string(read_file(manufactured_state(0), max_state).value()),
                    0600);
    container.must("useradd --create-home alice; useradd --create-home bob");
}

// Most tests want a factory; making it takes longer than what they do with it.
std::filesystem::path factory_layer()
{
    auto contents = read_file(manufactured_state(0), max_state).value();
    const auto rest = factory_script + tpm_unit + to_string(manufactured_vendor_ca());
    contents.insert(contents.end(), rest.begin(), rest.end());
    return kept_layer("factory", contents, [](const Container& container) {
        prepare(container);
        container.write("/etc/imprint-station/vendor.pem", to_string(manufactured_vendor_ca()));
        container.must(factory_script);
    });
}

} // namespace

Appliance::Appliance(Factory factory, Tcti tcti)
    : container_({{test_tcti_path().parent_path(), tcti_directory}},
                 {{"SYSTEMD_TPM2_DEVICE", "swtpm:path=" + tpm_socket}}, // for encrypted credentials
                 factory == Factory::running ? factory_layer() : std::filesystem::path())
{
    if (factory == Factory::none)
        prepare(container_);
    container_.write(
        "/etc/imprint/imprintd.conf.d/50-test.conf",
        device_configuration(tcti == Tcti::test ? test_tcti_configuration({}) : "swtpm:path=" + tpm_socket));
    // It was started without a TPM at boot.
    must("systemctl stop imprintd; systemctl start test-tpm");
}

Finished Appliance::call(const Arguments& method_signature_values, const std::string& user) const
{
    Arguments all{"busctl",
                  "--system",
                  "--timeout=60",
                  "call",
                  "org.imprint.Device1",
                  "/org/imprint/Device1",
                  "org.imprint.Device1"};
    all.insert(all.end(), method_signature_values.begin(), method_signature_values.end());
    return container_.run(all, {}, user);
}

std::string Appliance::failure(const Arguments& method_signature_values, const std::string& user) const
{
    const auto finished = call(method_signature_values, user);
    return finished.status == 0 ? "" : finished.err + " (" + std::to_string(finished.status) + ")";
}

std::string Appliance::property(const std::string& name) const
{
    auto value = must("busctl get-property org.imprint.Device1 /org/imprint/Device1 org.imprint.Device1 " + name);
    value.erase(value.find_last_not_of('\n') + 1);
    return value;
}

std::string Appliance::state() const
{
    const auto value = property("State"); // s "operating"
    return value.size() > 4 ? value.substr(3, value.size() - 4) : value;
}

void Appliance::make_operating() const
{
    auto failed = personalize();
    if (failed.empty())
        failed = enter_operating();
    if (!failed.empty())
        throw std::runtime_error(failed);
    wait_for_outbox();
}

void Appliance::wait_for_outbox() const { must("imprint-station outbox --wait 30"); }

void Appliance::set_tcti_options(const std::string& options) const
{
    container_.write("/etc/imprint/imprintd.conf.d/50-test.conf",
                     device_configuration(test_tcti_configuration(options)));
}

void Appliance::drop_in(const std::string& unit, const std::string& text) const
{
    container_.write("/etc/systemd/system/" + unit + ".d/50-test.conf", text);
    must("systemctl daemon-reload");
}

std::string Appliance::show(const std::string& unit, const std::string& property) const
{
    auto value = must("systemctl show --value --property=" + property + " " + unit);
    value.erase(value.find_last_not_of('\n') + 1);
    return value;
}

void Appliance::wait_for_property(const std::string& name, const std::string& value) const
{
    must("for i in $(seq 6000); do [ \"$(busctl get-property org.imprint.Device1 /org/imprint/Device1 "
         "org.imprint.Device1 " +
         name + " 2>/dev/null)\" != '" + value + "' ] || exit 0; done; echo " + name + " does not become '" + value +
         "' >&2; exit 1");
}

std::string Appliance::tpm(const std::string& command) const
{
    return must("TSS2_LOG=all+none TPM2TOOLS_TCTI=swtpm:path=" + tpm_socket + " " + command);
}

void Appliance::clear_tpm() const
{
    must("systemctl stop imprintd");
    tpm("tpm2_clear -c lockout");
}

std::string Appliance::journal(const std::string& unit) const
{
    return must("journalctl --no-pager --output=cat --unit=" + unit);
}

void Appliance::wait_for_journal(const std::string& unit, const std::string& line) const
{
    auto journal = container_.start({"journalctl", "--follow", "--lines=all", "--output=cat", "--unit=" + unit});
    if (!journal.line_after(line))
        throw std::runtime_error("nothing in the journal of " + unit + ": " + line);
}

} // namespace imprint::test
