BB_KERNEL void bb_dot2_2x2(const bb_rows *rows, const uint32_t *words, const uint32_t *sums, uint8_t *output,
                         uint32_t stride)
{
    bb_vector_dot(rows, words, sums, output, stride, 2u, 2u);
}
