// SPDX-License-Identifier: Apache-2.0
#include "daemon/tpm/object.h"

namespace imprint::tpm {

void Transient::flush() noexcept
{
    const auto esys = esys_.lock();
    // Where flushing fails, the TPM was reset or is out of reach; ESYS forgets it all the same.
    if (esys && tr_ != ESYS_TR_NONE && Esys_FlushContext(esys.get(), tr_) != TSS2_RC_SUCCESS)
        Esys_TR_Close(esys.get(), &tr_);
    tr_ = ESYS_TR_NONE;
}

void Transient::release() noexcept
{
    const auto esys = esys_.lock();
    if (esys && tr_ != ESYS_TR_NONE)
        Esys_TR_Close(esys.get(), &tr_);
    tr_ = ESYS_TR_NONE;
}

} // namespace imprint::tpm
