#include "engine/products.h"

#include <algorithm>
#include <cassert>

namespace sluice {
namespace {

using kernels::ActivationFormat;
using storage::MatrixView;

// Rows are shared out in multiples of this: kernels work on groups of rows.
constexpr std::size_t kRowGroup = 16;
// Pieces per thread: enough that threads finish together, whatever held one up.
constexpr std::size_t kPiecesPerThread = 32;
// A piece of less work than this (bytes of weights times tokens) costs more to
// hand out than to compute.
constexpr std::size_t kMinPieceWork = 32 << 10;

std::size_t Work(const Product& product) {
  return product.weights->bytes() * product.tokens * product.x.terms;
}

kernels::MatmulFn MatmulFor(const kernels::KernelTable& kernels,
                            const MatrixView& weights) {
  const auto type = static_cast<std::size_t>(weights.type);
  if (weights.has_residual()) return kernels.matmul_planes;
  return weights.layout == storage::MatrixLayout::kRows8
             ? kernels.matmul_rows8[type]
             : kernels.matmul[type];
}

// Rows [begin, end); `next` is what will be read after them, or null. A second
// term's outputs are computed with the first's, so that weights are read once,
// and added to them.
void RunRows(const Compute& compute, const Product& product, std::size_t begin,
             std::size_t end, const std::byte* next) {
  const MatrixView& weights = *product.weights;
  MatmulFor(compute.kernels, weights)({
      .weights = weights.data,
      .row_bytes = weights.row_bytes,
      .columns = weights.columns,
      .row_begin = begin,
      .row_end = end,
      .activations = product.x.data,
      .activation_stride = product.x.stride,
      .tokens = product.tokens * product.x.terms,
      .y = product.y,
      .y_stride = product.y_stride,
      .residual = weights.residual,
      .next = next,
  });
  if (product.x.terms == 1) return;
  for (std::size_t t = 0; t < product.tokens; ++t) {
    compute.kernels.add(
        &product.y[(product.tokens + t) * product.y_stride + begin],
        end - begin, &product.y[t * product.y_stride + begin]);
  }
}

// Formats in the order of their enum, with their block sizes.
constexpr std::size_t BlockOf(ActivationFormat format) {
  switch (format) {
    case ActivationFormat::kF32:
      return 1;
    case ActivationFormat::kQ8x32:
      return 32;
    case ActivationFormat::kQ8x256:
      return 256;
  }
  return 1;
}

}  // namespace

void RunProducts(const Compute& compute, std::span<const Product> products) {
  std::size_t total = 0;
  for (const Product& product : products) total += Work(product);
  const std::size_t piece_work = std::max(
      kMinPieceWork, total / (compute.pool.threads() * kPiecesPerThread));

  const auto rows_per_piece = [&](const Product& product) {
    const std::size_t row_work =
        std::max<std::size_t>(1, Work(product) / product.weights->rows);
    const std::size_t rows = (piece_work + row_work - 1) / row_work;
    return (rows + kRowGroup - 1) / kRowGroup * kRowGroup;
  };
  const auto pieces = [&](const Product& product) {
    const std::size_t rows = rows_per_piece(product);
    return (product.weights->rows + rows - 1) / rows;
  };

  std::size_t items = 0;
  for (const Product& product : products) items += pieces(product);
  compute.pool.For(items, [&](std::size_t item) {
    const Product* product = products.data();
    while (item >= pieces(*product)) item -= pieces(*product++);
    const std::size_t rows = rows_per_piece(*product);
    const std::size_t begin = item * rows;
    const std::size_t end =
        std::min<std::size_t>(begin + rows, product->weights->rows);
    // Pieces are mostly taken in order.
    const std::byte* next = nullptr;
    if (end < product->weights->rows) {
      next = product->weights->data + end * product->weights->row_bytes;
    } else if (product != &products.back()) {
      next = product[1].weights->data;
    }
    RunRows(compute, *product, begin, end, next);
  });
}

std::size_t QuantizedInput::RecordBytes(std::size_t tokens,
                                        std::size_t columns) {
  std::size_t bytes = 0;
  for (const auto format :
       {ActivationFormat::kQ8x32, ActivationFormat::kQ8x256}) {
    if (columns % BlockOf(format) == 0) {
      bytes += tokens * kernels::ActivationBytes(format, columns);
    }
  }
  return bytes;
}

void QuantizedInput::Set(const float* x, std::size_t tokens,
                         std::size_t columns) {
  x_ = x;
  tokens_ = tokens;
  columns_ = columns;
  used_ = 0;
  views_.fill({});
}

ActivationView QuantizedInput::For(const Compute& compute,
                                   const MatrixView& weights,
                                   Precision precision) {
  const ActivationFormat format = FormatFor(weights);
  if (format == ActivationFormat::kF32) {
    return {reinterpret_cast<const std::byte*>(x_), columns_ * sizeof(float)};
  }
  ActivationView& view = views_[static_cast<std::size_t>(format)];
  if (view.data != nullptr) return view;

  const bool fine = precision == Precision::kFine;
  const std::size_t stride = kernels::ActivationBytes(format, columns_);
  const std::size_t terms = fine ? 2 : 1;
  assert(used_ + terms * stride * tokens_ <= buffer_.size());
  std::byte* const out = buffer_.data() + used_;
  used_ += terms * stride * tokens_;
  const auto index = static_cast<std::size_t>(format);
  compute.pool.For(tokens_, [&](std::size_t t) {
    const float* const x = x_ + t * columns_;
    if (fine) {
      compute.kernels.quantize_fine[index](x, columns_, out + t * stride,
                                           out + (tokens_ + t) * stride);
    } else {
      compute.kernels.quantize[index](x, columns_, out + t * stride);
    }
  });
  view = {out, stride, terms};
  return view;
}

}  // namespace sluice
