// SPDX-License-Identifier: Apache-2.0
#include "daemon/tpm/worker.h"

namespace imprint::tpm {

Worker::Worker(Open open)
    : open_(std::move(open))
    , thread_([this](const std::stop_token& stop) { run(stop); })
{
}

Worker::~Worker() = default; // the thread is joined first, after what was handed to it

void Worker::forget()
{
    enqueue([this] { drop(); });
}

SecurityModule& Worker::module()
{
    if (!module_) {
        module_ = open_();
        if (!pinned_.empty())
            module_->pin_storage_key(pinned_);
    }
    return *module_;
}

void Worker::drop()
{
    if (module_)
        pinned_ = module_->pinned_storage_key();
    module_.reset();
}

void Worker::drop_after(Reason reason)
{
    switch (reason) {
    case Reason::tpm_unavailable:
    case Reason::tpm_failed:
    case Reason::tpm_reset:
    case Reason::tpm_intercepted:
        drop();
        break;
    default:
        break;
    }
}

void Worker::enqueue(std::function<void()> job)
{
    {
        const std::lock_guard lock(mutex_);
        jobs_.push_back(std::move(job));
    }
    wake_.notify_one();
}

void Worker::run(const std::stop_token& stop)
{
    std::unique_lock lock(mutex_);
    while (wake_.wait(lock, stop, [this] { return !jobs_.empty(); })) {
        const auto job = std::move(jobs_.front());
        jobs_.pop_front();
        lock.unlock();
        job();
        lock.lock();
    }
    lock.unlock();
    module_.reset();
}

} // namespace imprint::tpm
