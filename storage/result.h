// Result<T>: the only error vocabulary of the project.
//
// Every fallible function returns Result<T>; no exception crosses a public
// interface. An Error has a code, for programs, and one line of text, for
// people: it names the file or flag, the place, and the cure. Messages never
// end in a newline or a full stop and never contain a newline.
//
// Thread safety: values; as safe as any other value type.
#ifndef SLUICE_STORAGE_RESULT_H_
#define SLUICE_STORAGE_RESULT_H_

#include <string>
#include <string_view>
#include <utility>

#include <tl/expected.hpp>

namespace sluice {

enum class ErrorCode {
  kInvalidArgument,  // the caller's options or input are wrong
  kNotFound,         // a file, tensor or key does not exist
  kPermission,       // the operating system refused access
  kCorrupt,          // a model file breaks its format's rules
  kUnsupported,      // well formed, but of a kind this build cannot run
  kIo,               // the device failed: EIO, truncation, a changed file
  kNoMemory,         // below the floor, or an allocation failed
  kCancelled,        // the caller asked to stop
  kInternal,         // a broken invariant; a bug
};

// "invalid argument", "corrupt", ...: a stable lower-case name.
constexpr std::string_view ErrorCodeName(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return "invalid argument";
    case ErrorCode::kNotFound:
      return "not found";
    case ErrorCode::kPermission:
      return "permission denied";
    case ErrorCode::kCorrupt:
      return "corrupt";
    case ErrorCode::kUnsupported:
      return "unsupported";
    case ErrorCode::kIo:
      return "input/output error";
    case ErrorCode::kNoMemory:
      return "not enough memory";
    case ErrorCode::kCancelled:
      return "cancelled";
    case ErrorCode::kInternal:
      return "internal error";
  }
  return "unknown";
}

struct [[nodiscard]] Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;
};

template <typename T>
using Result = tl::expected<T, Error>;

// Return value of a failed function: `return Fail(ErrorCode::kIo, "...");`.
inline tl::unexpected<Error> Fail(ErrorCode code, std::string message) {
  return tl::unexpected<Error>(Error{code, std::move(message)});
}

// Passes on the error of a Result of another type.
template <typename T>
tl::unexpected<Error> Forward(Result<T>&& failed) {
  return tl::unexpected<Error>(std::move(failed).error());
}

}  // namespace sluice

// Evaluates `expr` (a Result<void>) and returns its error, if any.
#define SLUICE_TRY(expr)                           \
  do {                                             \
    if (auto sluice_try_ = (expr); !sluice_try_) { \
      return ::tl::unexpected<::sluice::Error>(    \
          std::move(sluice_try_).error());         \
    }                                              \
  } while (false)

#define SLUICE_CONCAT_INNER_(a, b) a##b
#define SLUICE_CONCAT_(a, b) SLUICE_CONCAT_INNER_(a, b)

// `SLUICE_ASSIGN(auto x, F())` declares x from F()'s value or returns its
// error.
#define SLUICE_ASSIGN(declaration, expr)                                     \
  SLUICE_ASSIGN_IMPL_(SLUICE_CONCAT_(sluice_result_, __LINE__), declaration, \
                      expr)
#define SLUICE_ASSIGN_IMPL_(result, declaration, expr)                   \
  auto result = (expr);                                                  \
  if (!result) {                                                         \
    return ::tl::unexpected<::sluice::Error>(std::move(result).error()); \
  }                                                                      \
  declaration = std::move(result).value()

#endif  // SLUICE_STORAGE_RESULT_H_
