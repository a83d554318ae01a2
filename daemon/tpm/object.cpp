// SPDX-License-Identifier: Apache-2.0
#include "daemon/tpm/object.h"

namespace imprint::tpm {

void Transient::flush() noexcept
{
    if (tr_ == ESYS_TR_NONE)
        return;
    // Where even that fails, the TPM was reset or is out of reach; ESYS forgets it all the same.
    if (Esys_FlushContext(connection_->esys(), tr_) != TSS2_RC_SUCCESS)
        Esys_TR_Close(connection_->esys(), &tr_);
    tr_ = ESYS_TR_NONE;
}

void Transient::release() noexcept
{
    if (tr_ != ESYS_TR_NONE)
        Esys_TR_Close(connection_->esys(), &tr_);
    tr_ = ESYS_TR_NONE;
}

} // namespace imprint::tpm
