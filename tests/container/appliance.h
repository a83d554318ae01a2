// SPDX-License-Identifier: Apache-2.0
// A device and its factory in one container: the packages' own units, a software TPM, the system's bus.
#pragma once

#include "tests/container/container.h"

namespace imprint::test {

class Appliance {
public:
    // Through tpm2-tss's own way to swtpm, or through the tests' (tests/support/test_tcti_module.cpp), which can kill
    // and delay, and lets other programs talk to the TPM in between.
    enum class Tcti { swtpm, test };

    // Keys of a manufacturer, and station, archive and central system as running units.
    enum class Factory { none, running };

    // A blank device with a manufactured TPM; imprintd does not run. Users: alice, bob.
    explicit Appliance(Factory factory = Factory::none, Tcti tcti = Tcti::test);

    const Container& container() const { return container_; }
    std::string must(const std::string& script) const { return container_.must(script); }

    static constexpr const char* station = "127.0.0.1:7443";
    static constexpr const char* archive = "http://127.0.0.1:7480";
    static constexpr const char* central = "127.0.0.1:7445";

    // A call of Device1 by busctl: {"Personalize", "sa{sv}", station, "0"}.
    Finished call(const Arguments& method_signature_values, const std::string& user = "root") const;
    // The error's message, or empty: for EXPECT_EQ(..., "").
    std::string failure(const Arguments& method_signature_values, const std::string& user = "root") const;
    std::string property(const std::string& name) const; // as busctl prints it
    std::string state() const; // "operating"
    // Those of the main job, for root.
    std::string personalize() const { return failure({"Personalize", "sa{sv}", station, "0"}); }
    std::string enter_operating() const { return failure({"EnterOperating"}); }
    void make_operating() const; // personalized, switched, record in the archive
    void wait_for_outbox() const;

    // From imprintd's next start on: options of the tests' TCTI, "kill=5".
    void set_tcti_options(const std::string& options) const;
    // A drop-in for a unit; takes effect at its next start.
    void drop_in(const std::string& unit, const std::string& text) const;
    // systemctl show: one property's value.
    std::string show(const std::string& unit, const std::string& property) const;
    void wait_for_property(const std::string& name, const std::string& value) const; // of Device1, by polling
    std::string tpm(const std::string& command) const; // of tpm2-tools
    void clear_tpm() const; // TPM2_Clear, while the daemon is stopped
    std::string journal(const std::string& unit) const;
    void wait_for_journal(const std::string& unit, const std::string& line) const; // one that begins with this

private:
    Container container_;
};

} // namespace imprint::test
