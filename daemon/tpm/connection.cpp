// SPDX-License-Identifier: Apache-2.0
#include "daemon/tpm/connection.h"

#include "daemon/tpm/rc.h"

#include <tss2/tss2_tctildr.h>

#include <cstdlib>

namespace imprint::tpm {

namespace {

// tpm2-tss would write to standard error. Before main, since the environment belongs to one thread only then.
[[maybe_unused]] const int quiet = ::setenv("TSS2_LOG", "all+none", 0);

Tcti open_tcti(const std::string& conf)
{
    TSS2_TCTI_CONTEXT* tcti = nullptr;
    if (const auto rc = Tss2_TctiLdr_Initialize(conf.c_str(), &tcti))
        throw Error(Reason::tpm_unavailable, error_of(rc, "open the TPM at " + conf).what());
    return {tcti, [](TSS2_TCTI_CONTEXT* context) { Tss2_TctiLdr_Finalize(&context); }};
}

} // namespace

Connection::Connection(const std::string& conf)
    : Connection(open_tcti(conf))
{
}

Connection::Connection(Tcti tcti)
    : tcti_(std::move(tcti))
{
    ESYS_CONTEXT* esys = nullptr;
    check(Esys_Initialize(&esys, tcti_.get(), nullptr), "start the TPM software stack");
    esys_.reset(esys, [](ESYS_CONTEXT* context) { Esys_Finalize(&context); });
}

void Connection::check(TSS2_RC rc, const std::string& doing) const
{
    if (rc != TSS2_RC_SUCCESS)
        throw error_of(rc, doing);
}

} // namespace imprint::tpm
