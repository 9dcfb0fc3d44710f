/* Copies codes of 8 bits. */
BB_INLINE void bb_copy_codes(uint8_t *to, const uint8_t *from, uint32_t count)
{
    for (uint32_t i = 0u; i < count; i++) {
        to[i] = from[i];
    }
}
