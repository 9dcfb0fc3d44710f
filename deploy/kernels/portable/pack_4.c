BB_KERNEL void bb_pack_4(const uint8_t *codes, uint32_t count, uint8_t *packed)
{
    for (; count >= 2u; count -= 2u) {
        const uint32_t first = (codes[0] > 15u) ? 15u : codes[0];
        const uint32_t second = (codes[1] > 15u) ? 15u : codes[1];
        packed[0] = (uint8_t)(first | (second << 4));
        codes = &codes[2];
        packed = &packed[1];
    }
    if (count != 0u) {
        packed[0] = (codes[0] > 15u) ? (uint8_t)15u : codes[0];
    }
}
