// SPDX-License-Identifier: Apache-2.0
// The one thread that talks to the TPM. Everybody else hands it a piece of work.
#pragma once

#include "daemon/tpm/security_module.h"

#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>

namespace imprint::tpm {

class Worker {
public:
    // Opens the security module in the worker's own thread: at the first call, and again after forget().
    using Open = std::function<std::unique_ptr<SecurityModule>()>;
    explicit Worker(Open open);
    ~Worker();
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    // Runs work(SecurityModule&) in the TPM's thread and waits; what it (or opening the TPM) throws is thrown here.
    // After an Error that leaves the connection in doubt (tpm_unavailable, tpm_failed, tpm_reset, tpm_intercepted) the
    // next call opens the TPM anew: what work kept of the module's must then not be used any more, only destroyed.
    template <class F>
    auto call(F work) -> std::invoke_result_t<F, SecurityModule&>
    {
        std::packaged_task<std::invoke_result_t<F, SecurityModule&>()> task([&] {
            try {
                return work(module());
            } catch (const Error& error) {
                drop_after(error.reason());
                throw;
            }
        });
        auto result = task.get_future();
        enqueue([&task] { task(); });
        return result.get();
    }

    // The next call opens the TPM anew.
    void forget();

private:
    SecurityModule& module(); // worker thread only, like the next two
    void drop();
    void drop_after(Reason reason);
    void enqueue(std::function<void()> job);
    void run(const std::stop_token& stop);

    Open open_;
    std::unique_ptr<SecurityModule> module_;
    Bytes pinned_; // the storage key's Name stays pinned when the TPM is opened anew
    std::mutex mutex_;
    std::condition_variable_any wake_;
    std::deque<std::function<void()>> jobs_;
    std::jthread thread_;
};

} // namespace imprint::tpm
