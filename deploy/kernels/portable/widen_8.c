BB_KERNEL uint32_t bb_widen_8(const uint8_t *codes, uint32_t groups, uint32_t *words, uint32_t columns)
{
    uint32_t sum = 0u;
    for (; groups != 0u; groups--) {
        sum += bb_put_group(words, codes[0], codes[1], codes[2], codes[3]);
        codes = &codes[4];
        words = &words[columns * BB_GROUP_WORDS];
    }
    return sum;
}
