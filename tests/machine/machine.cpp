// SPDX-License-Identifier: Apache-2.0
#include "tests/machine/machine.h"

#include "tests/machine/socket_pair.h"
#include "tests/machine/tpm_line.h"
#include "tests/support/built_packages.h"
#include "tests/support/manufacture.h"

#include <csignal>
#include <netinet/in.h>
#include <stdexcept>
#include <sys/socket.h>
#include <unistd.h>

namespace imprint::test {

namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

// All generous: the guest is some ten times slower than this machine, which may have other work.
constexpr auto boot_limit = 300s;
constexpr auto command_limit = 300s;
constexpr std::size_t max_log = 1 << 20;

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

Process start_tpm(const fs::path& directory, int control)
{
    return Process({"swtpm", "socket", "--tpm2", "--tpmstate", "dir=" + (directory / "tpm").string(), "--ctrl",
                    "type=unixio,clientfd=" + std::to_string(control), "--terminate", "--seccomp", "action=none"},
                   {}, directory / "swtpm.log", {control});
}

} // namespace

// In the order in which they start; QEMU ends before its TPM.
struct Machine::Running {
    Running(const Machine& machine, std::pair<Fd, Fd> agents_line)
        : tpm(start_tpm(machine.directory_.path(), line.tpms_end()))
        , qemu(machine.qemu(line.machines_end(), agents_line.second.get()), {}, machine.directory_ / "qemu.log",
               {line.machines_end(), agents_line.second.get()})
    {
        line.started();
        agents_line.second = Fd();
        agent.emplace(std::move(agents_line.first), boot_limit);
    }

    TpmLine line;
    Process tpm;
    Process qemu;
    std::optional<GuestAgent> agent;
};

Machine::Machine(unsigned chip)
    : disk_(directory_ / "disk.img")
{
    copy_sparse(image() / "disk.img", disk_);
    fs::create_directory(directory_ / "tpm");
    fs::copy_file(manufactured_state(chip), directory_ / "tpm/tpm2-00.permall");
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

Arguments Machine::qemu(int tpm_line, int agents_line) const
{
    const auto kernel_line = "root=/dev/nvme0n1 rootfstype=ext4 rw console=ttyS0 quiet mitigations=off nokaslr "
                             "no_timer_check tsc=reliable random.trust_cpu=on panic=-1 systemd.show_status=0";
    return {"qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            // The same on every machine that tests run on: without KVM.
            "-accel", "tcg,thread=multi,tb-size=256", "-cpu", "max", "-smp", "1", "-m", "768", "-machine",
            "q35,hpet=off,usb=off,smbus=off,sata=off", "-kernel", image() / "vmlinuz", "-append", kernel_line, "-drive",
            "file=" + disk_.string() + ",if=none,id=disk,format=raw,cache=writeback", "-device",
            "nvme,drive=disk,serial=root", "-chardev", "socket,id=tpm-line,fd=" + std::to_string(tpm_line), "-tpmdev",
            "emulator,id=tpm,chardev=tpm-line", "-device", "tpm-crb,tpmdev=tpm", "-device", "virtio-rng-pci", "-netdev",
            "user,id=net" + forwards_, "-device", "virtio-net-pci,netdev=net,romfile=", "-serial",
            "file:" + (directory_ / "console.log").string(), "-chardev",
            "socket,id=agent,fd=" + std::to_string(agents_line), "-serial", "chardev:agent", "-rtc", "base=" + clock_};
}

void Machine::start()
{
    try {
        running_ = std::make_unique<Running>(*this, socket_pair());
        run("systemctl is-system-running --wait");
    } catch (const std::runtime_error& error) {
        throw std::runtime_error(std::string("the machine does not start: ") + error.what() + "\n" + console());
    }
}

void Machine::shut_down()
{
    running_->agent->start("sync; systemctl poweroff");
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
    return running_->agent->run(script, input, command_limit).value();
}

std::optional<Finished> Machine::run_until(const Place& place, const std::string& script)
{
    running_->line.hold(place);
    return running_->agent->run(script, {}, command_limit, running_->line.held());
}

std::string Machine::must(const std::string& script, const std::string& input)
{
    const auto finished = run(script, input);
    if (finished.status != 0)
        throw std::runtime_error(script + ": " + finished.out + finished.err);
    return finished.out;
}

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
