// SPDX-License-Identifier: Apache-2.0
#include "tests/machine/machine.h"

#include "tests/support/built_packages.h"
#include "tests/support/manufacture.h"

#include <csignal>
#include <netinet/in.h>
#include <stdexcept>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

namespace imprint::test {

namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// All generous: the guest is some ten times slower than this machine, which may have other work.
constexpr auto boot_limit = 300s;
constexpr auto command_limit = 300s;
constexpr auto pause = 20ms;
constexpr std::size_t max_log = 1 << 20;
constexpr auto* tpm_state = "tpm2-00.permall";

// Made by tests/machine/image, which knows when it is up to date; once a process.
const fs::path& image()
{
    static const fs::path made = [] {
        if (::geteuid() != 0)
            throw std::runtime_error("only root can make a machine's disk: run this as root");
        const fs::path directory = IMPRINT_TEST_IMAGES "/machine";
        Arguments make{IMPRINT_SOURCE "/tests/machine/image", directory,
                       IMPRINT_SOURCE "/tests/machine/machine.packages"};
        for (const auto& package : built_packages())
            make.push_back(package);
        const auto finished = run(make, {}, {}, 30min);
        if (finished.status != 0)
            throw std::runtime_error("no machine can be made here: " + finished.out + finished.err);
        return directory;
    }();
    return made;
}

void copy_sparse(const fs::path& from, const fs::path& to)
{
    const auto copied = run({"cp", "--reflink=auto", "--sparse=always", from, to}, {}, {}, 300s);
    if (copied.status != 0)
        throw std::runtime_error(copied.err);
}

void copy_tpm(const fs::path& from, const fs::path& to)
{
    fs::create_directory(to);
    fs::copy_file(from, to / tpm_state);
}

unsigned free_port()
{
    const Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0)
        throw_errno("no free port");
    return ntohs(address.sin_port);
}

Process start_tpm(const fs::path& directory)
{
    const auto control = directory / "tpm.sock";
    fs::remove(control);
    Process process({"swtpm", "socket", "--tpm2", "--tpmstate", "dir=" + (directory / "tpm").string(), "--ctrl",
                     "type=unixio,path=" + control.string(), "--terminate", "--seccomp", "action=none"},
                    {}, directory / "swtpm.log");
    const auto deadline = Clock::now() + 30s;
    while (!fs::exists(control)) {
        if (!process.running() || Clock::now() > deadline)
            throw std::runtime_error("swtpm does not start: " +
                                     to_string(read_file(directory / "swtpm.log", max_log).value_or(Bytes{})));
        std::this_thread::sleep_for(pause);
    }
    return process;
}

} // namespace

// In the order in which they start; QEMU ends before its TPM.
struct Machine::Running {
    Process tpm;
    Process qemu;
    std::optional<GuestAgent> agent;
};

Machine::Machine(unsigned chip)
    : disk_(directory_ / "disk.img")
{
    copy_sparse(image() / "disk.img", disk_);
    copy_tpm(manufactured_state(chip), directory_ / "tpm");
}

Machine::Machine(const Machine& original)
    : disk_(directory_ / "disk.img")
{
    if (original.is_on())
        throw std::logic_error("a machine that is on cannot be copied");
    copy_sparse(original.disk_, disk_);
    copy_tpm(original.directory_ / "tpm" / tpm_state, directory_ / "tpm");
}

Machine::~Machine() { cut_power(); }

void Machine::put(const std::string& path, const std::string& content) const
{
    const TemporaryDirectory scratch;
    write_file(scratch / "content", as_bytes(content), 0644);
    std::string commands;
    for (auto slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1))
        commands += "mkdir " + path.substr(0, slash) + "\n"; // those that there are stay as they are
    commands += "rm " + path + "\nwrite " + (scratch / "content").string() + " " + path + "\n";
    write_file(scratch / "commands", as_bytes(commands));
    test::run({"debugfs", "-w", "-f", scratch / "commands", disk_});
    const auto written = test::run({"debugfs", "-R", "cat " + path, disk_});
    if (written.out != content)
        throw std::runtime_error("cannot write " + path + " into a disk's image: " + written.err);
}

std::string Machine::forward(unsigned guest_port)
{
    const auto address = "127.0.0.1:" + std::to_string(free_port());
    forwards_ += ",hostfwd=tcp:" + address + "-:" + std::to_string(guest_port);
    return address;
}

Arguments Machine::qemu() const
{
    const auto kernel_line = "root=/dev/nvme0n1 rootfstype=ext4 rw console=ttyS0 quiet mitigations=off nokaslr "
                             "no_timer_check tsc=reliable random.trust_cpu=on panic=-1 systemd.show_status=0";
    return {"qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            // The same on every machine that tests run on: without KVM.
            "-accel", "tcg,thread=multi,tb-size=256", "-cpu", "max", "-smp", "1", "-m", "768", "-machine",
            "q35,hpet=off,usb=off,smbus=off,sata=off", "-kernel", image() / "vmlinuz", "-append", kernel_line, "-drive",
            "file=" + disk_.string() + ",if=none,id=disk,format=raw,cache=writeback", "-device",
            "nvme,drive=disk,serial=root", "-chardev", "socket,id=tpm-line,path=" + (directory_ / "tpm.sock").string(),
            "-tpmdev", "emulator,id=tpm,chardev=tpm-line", "-device", "tpm-crb,tpmdev=tpm", "-device", "virtio-rng-pci",
            "-netdev", "user,id=net" + forwards_, "-device", "virtio-net-pci,netdev=net,romfile=", "-serial",
            "file:" + (directory_ / "console.log").string(), "-chardev",
            "socket,id=agent,server=on,wait=off,path=" + (directory_ / "agent.sock").string(), "-serial",
            "chardev:agent"};
}

void Machine::start()
{
    fs::remove(directory_ / "agent.sock");
    auto tpm = start_tpm(directory_.path());
    running_ = std::make_unique<Running>(Running{std::move(tpm), Process(qemu(), {}, directory_ / "qemu.log"), {}});
    try {
        running_->agent.emplace(directory_ / "agent.sock", boot_limit);
        run("systemctl is-system-running --wait");
    } catch (const std::runtime_error& error) {
        throw std::runtime_error(std::string("the machine does not start: ") + error.what() + "\n" + console());
    }
    ++starts_;
}

void Machine::shut_down()
{
    begin("sync; systemctl poweroff");
    running_->qemu.wait(boot_limit);
    running_->tpm.wait(boot_limit);
    running_.reset();
}

void Machine::reboot()
{
    shut_down();
    start();
}

void Machine::cut_power()
{
    if (!running_)
        return;
    running_->qemu.signal(SIGKILL);
    running_->tpm.signal(SIGKILL);
    running_->qemu.wait();
    running_->tpm.wait();
    running_.reset();
}

Finished Machine::run(const std::string& script, const std::string& input)
{
    const auto number = running_->agent->start(script, input);
    const auto deadline = Clock::now() + command_limit;
    while (Clock::now() < deadline) {
        if (auto finished = running_->agent->ended(number))
            return *finished;
        std::this_thread::sleep_for(pause);
    }
    throw std::runtime_error("did not end in time: " + script);
}

std::string Machine::must(const std::string& script, const std::string& input)
{
    const auto finished = run(script, input);
    if (finished.status != 0)
        throw std::runtime_error(script + ": " + finished.out + finished.err);
    return finished.out;
}

std::int64_t Machine::begin(const std::string& script) { return running_->agent->start(script); }

std::optional<Finished> Machine::ended(std::int64_t number) { return running_->agent->ended(number); }

std::string Machine::seen_by_guest(std::string address)
{
    const std::string ours = "127.0.0.1";
    if (const auto at = address.find(ours); at != std::string::npos)
        address.replace(at, ours.size(), "10.0.2.2");
    return address;
}

std::string Machine::console() const
{
    std::string all;
    for (const auto* name : {"qemu.log", "swtpm.log", "console.log"})
        all += to_string(read_file(directory_ / name, max_log).value_or(Bytes{}));
    return all;
}

} // namespace imprint::test
