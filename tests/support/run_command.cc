#include "tests/support/run_command.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace sluice::testing_support {
namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void Throw(const char* what) {
  throw std::runtime_error(std::string(what) + ": " + std::strerror(errno));
}

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd = -1) : fd_(fd) {}
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  ~FileDescriptor() { Reset(); }

  int get() const { return fd_; }
  void Reset(int fd = -1) {
    if (fd_ >= 0) close(fd_);
    fd_ = fd;
  }

 private:
  int fd_;
};

struct Pipe {
  Pipe() {
    std::array<int, 2> ends;
    if (pipe2(ends.data(), O_CLOEXEC) != 0) Throw("pipe");
    read_end.Reset(ends[0]);
    write_end.Reset(ends[1]);
  }
  FileDescriptor read_end;
  FileDescriptor write_end;
};

void FillInput(int fd, const std::string& text) {
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t count = write(fd, text.data() + done, text.size() - done);
    if (count < 0 && errno != EINTR) Throw("write");
    if (count > 0) done += static_cast<std::size_t>(count);
  }
  if (lseek(fd, 0, SEEK_SET) != 0) Throw("lseek");
}

// What the child does between fork and exec; only calls that are safe there.
struct ChildPlan {
  char* const* arguments;
  const char* procs_path;  // null: no cgroup
  int input;
  int output;
  int error;
};

[[noreturn]] void RunChild(const ChildPlan& plan) {
  constexpr int kCannotRun = 127;
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (plan.procs_path != nullptr) {
    const int procs = open(plan.procs_path, O_WRONLY | O_CLOEXEC);
    if (procs < 0 || write(procs, "0", 1) != 1) _exit(kCannotRun);
  }
  if (dup2(plan.input, 0) < 0 || dup2(plan.output, 1) < 0 ||
      dup2(plan.error, 2) < 0) {
    _exit(kCannotRun);
  }
  execv(plan.arguments[0], plan.arguments);
  _exit(kCannotRun);
}

// A started program: collects its output, watches the clock, buries it.
class Running {
 public:
  static constexpr int kTickMilliseconds = 5;

  Running(pid_t pid, Pipe& out, Pipe& err, const CommandOptions& options)
      : pid_(pid), out_(out), err_(err), options_(options) {}

  CommandResult Finish() {
    int status = 0;
    while (waitpid(pid_, &status, WNOHANG) == 0) {
      KeepTime();
      Collect(kTickMilliseconds);
    }
    // A child it left would hold the pipes open; what was written is in them.
    kill(-pid_, SIGKILL);
    while (Collect(0)) {
    }
    if (WIFEXITED(status)) result_.exit_code = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) result_.signal = WTERMSIG(status);
    return std::move(result_);
  }

 private:
  // Sends the signal or ends the program when it is time for that.
  void KeepTime() {
    const auto elapsed = Clock::now() - start_;
    if (options_.signal && !signalled_ && elapsed >= options_.signal->after &&
        result_.out.size() >= options_.signal->after_output_bytes) {
      signalled_ = true;
      kill(pid_, options_.signal->number);
    }
    if (!result_.timed_out && elapsed >= options_.timeout) {
      result_.timed_out = true;
      kill(-pid_, SIGKILL);
    }
  }

  // Takes what the pipes hold, after waiting for something or for the end of
  // the tick; false when there was nothing.
  bool Collect(int milliseconds) {
    std::array<pollfd, 2> polled = {
        {{out_.read_end.get(), POLLIN, 0}, {err_.read_end.get(), POLLIN, 0}}};
    if (poll(polled.data(), polled.size(), milliseconds) <= 0) return false;
    if (polled[0].revents != 0) Drain(out_.read_end, result_.out);
    if (polled[1].revents != 0) Drain(err_.read_end, result_.err);
    return true;
  }

  static void Drain(FileDescriptor& from, std::string& to) {
    std::array<char, 65536> buffer;
    const ssize_t count = read(from.get(), buffer.data(), buffer.size());
    if (count > 0) to.append(buffer.data(), static_cast<std::size_t>(count));
    if (count == 0 || (count < 0 && errno != EINTR)) from.Reset();
  }

  pid_t pid_;
  Pipe& out_;
  Pipe& err_;
  const CommandOptions& options_;
  Clock::time_point start_ = Clock::now();
  bool signalled_ = false;
  CommandResult result_;
};

}  // namespace

CommandResult RunCommand(const std::vector<std::string>& arguments,
                         const CommandOptions& options) {
  // Everything is allocated before the fork.
  std::vector<std::string> copies = arguments;
  std::vector<char*> pointers;
  for (std::string& argument : copies) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  const std::string procs =
      options.cgroup == nullptr ? "" : options.cgroup->procs_path();
  FileDescriptor input(memfd_create("input", MFD_CLOEXEC));
  if (input.get() < 0) Throw("memfd_create");
  FillInput(input.get(), options.input);
  Pipe out;
  Pipe err;
  const ChildPlan plan = {.arguments = pointers.data(),
                          .procs_path = procs.empty() ? nullptr : procs.c_str(),
                          .input = input.get(),
                          .output = out.write_end.get(),
                          .error = err.write_end.get()};
  const pid_t pid = fork();
  if (pid < 0) Throw("fork");
  if (pid == 0) RunChild(plan);
  setpgid(pid, pid);  // whichever of the two comes first
  out.write_end.Reset();
  err.write_end.Reset();
  return Running(pid, out, err, options).Finish();
}

}  // namespace sluice::testing_support
