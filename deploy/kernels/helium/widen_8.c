BB_KERNEL uint32_t bb_widen_8(const uint8_t *codes, uint32_t groups, uint32_t *words, uint32_t columns)
{
    uint32_t sum = 0u;
    (void)columns;
    for (uint32_t done = 0u; done < groups; done += 4u) {
        const uint32_t left = groups - done;
        const uint8x16_t bytes = vldrbq_z_u8(&codes[4u * done], vctp8q(4u * left));
        sum = vaddvaq_u8(sum, bytes);
        vstrwq_p_u32(&words[done], vreinterpretq_u32_u8(bytes), vctp32q(left));
    }
    return sum;
}
