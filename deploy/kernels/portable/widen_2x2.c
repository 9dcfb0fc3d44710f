/* Columns for bb_dot1_2x2 and bb_dot2_2x2; only the DSP level has a format of its own for them. */
BB_KERNEL uint32_t bb_widen_2x2(const uint8_t *codes, uint32_t groups, uint32_t *words, uint32_t columns)
{
    uint32_t sum = 0u;
    for (; groups != 0u; groups--) {
        sum += bb_put_group(words, ((uint32_t)codes[0] << 6) & 0xC0u, ((uint32_t)codes[0] << 4) & 0xC0u,
                            ((uint32_t)codes[0] << 2) & 0xC0u, codes[0] & 0xC0u);
        codes = &codes[1];
        words = &words[BB_GROUP_STEP(columns)];
    }
    return sum;
}
