// RidgeRegression: the weights w that predict y = w . x best in the sense of
// least squares over all samples (x, y), each fading with time, plus a penalty
// for leaving the weights that it starts from:
//
//   sum fade_i (y_i - w . x_i)^2 + ridge |w - start|^2
//
// Thread safety: thread-compatible.
#ifndef SLUICE_CACHE_RIDGE_REGRESSION_H_
#define SLUICE_CACHE_RIDGE_REGRESSION_H_

#include <array>
#include <cstddef>
#include <span>

namespace sluice::cache {

template <std::size_t N>
class RidgeRegression {
 public:
  using Vector = std::array<double, N>;

  // `ridge` is above 0.
  RidgeRegression(const Vector& start, double ridge)
      : start_(start), ridge_(ridge) {}

  // What was told so far counts `factor` as much from now on.
  void Fade(double factor) {
    for (std::size_t i = 0; i < N; ++i) {
      for (std::size_t j = 0; j <= i; ++j) moments_[i][j] *= factor;
      targets_[i] *= factor;
    }
  }
  // A sample whose y is 1 or 0.
  void Add(std::span<const float, N> x, bool y) {
    for (std::size_t i = 0; i < N; ++i) {
      for (std::size_t j = 0; j <= i; ++j) {
        moments_[i][j] += double{x[i]} * double{x[j]};
      }
      if (y) targets_[i] += double{x[i]};
    }
  }
  // Solves (moments + ridge) w = targets + ridge start by Cholesky's
  // decomposition: the ridge makes the matrix positive definite.
  Vector Weights() const;

 private:
  using Matrix = std::array<Vector, N>;  // the lower triangle

  Vector start_;
  double ridge_;
  Matrix moments_ = {};  // sum of x x^T
  Vector targets_ = {};  // sum of y x
};

// As L D L^T, which takes no roots.
template <std::size_t N>
typename RidgeRegression<N>::Vector RidgeRegression<N>::Weights() const {
  Matrix lower = moments_;
  Vector w;
  for (std::size_t i = 0; i < N; ++i) {
    lower[i][i] += ridge_;
    w[i] = targets_[i] + ridge_ * start_[i];
  }
  Vector pivots;
  for (std::size_t i = 0; i < N; ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      for (std::size_t k = 0; k < j; ++k) {
        lower[i][j] -= lower[i][k] * pivots[k] * lower[j][k];
      }
      lower[i][j] /= pivots[j];
      w[i] -= lower[i][j] * w[j];
    }
    pivots[i] = lower[i][i];
    for (std::size_t k = 0; k < i; ++k) {
      pivots[i] -= lower[i][k] * lower[i][k] * pivots[k];
    }
  }
  for (std::size_t i = N; i-- > 0;) {
    w[i] /= pivots[i];
    for (std::size_t j = i + 1; j < N; ++j) w[i] -= lower[j][i] * w[j];
  }
  return w;
}

}  // namespace sluice::cache

#endif  // SLUICE_CACHE_RIDGE_REGRESSION_H_
