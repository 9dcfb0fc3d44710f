BB_KERNEL uint32_t bb_widen_4(const uint8_t *codes, uint32_t groups, uint32_t *words, uint32_t columns)
{
    uint32_t sum = 0u;
    for (; groups != 0u; groups--) {
        sum += bb_put_group(words, ((uint32_t)codes[0] << 4) & 0xF0u, codes[0] & 0xF0u,
                            ((uint32_t)codes[1] << 4) & 0xF0u, codes[1] & 0xF0u);
        codes = &codes[2];
        words = &words[columns * BB_GROUP_WORDS];
    }
    return sum;
}
