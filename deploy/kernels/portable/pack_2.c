BB_KERNEL void bb_pack_2(const uint8_t *codes, uint32_t count, uint8_t *packed)
{
    uint32_t byte = 0u;
    uint32_t shift = 0u;
    for (; count != 0u; count--) {
        byte |= ((codes[0] > 3u) ? 3u : (uint32_t)codes[0]) << shift;
        codes = &codes[1];
        shift += 2u;
        if ((shift == 8u) || (count == 1u)) {
            packed[0] = (uint8_t)byte;
            packed = &packed[1];
            byte = 0u;
            shift = 0u;
        }
    }
}
