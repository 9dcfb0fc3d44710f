BB_KERNEL uint32_t bb_widen_4(const uint8_t *codes, uint32_t groups, uint32_t *words, uint32_t columns)
{
    uint32_t sum = 0u;
    (void)columns;
    for (uint32_t done = 0u; done < groups; done += 4u) {
        const uint32_t left = groups - done;
        const uint16x8_t packed = vldrbq_z_u16(&codes[2u * done], vctp16q(2u * left));
        const uint16x8_t low = vandq_u16(vshlq_n_u16(packed, 4), vdupq_n_u16(0x00F0u));
        const uint16x8_t high = vandq_u16(vshlq_n_u16(packed, 8), vdupq_n_u16(0xF000u));
        const uint8x16_t bytes = vreinterpretq_u8_u16(vorrq_u16(low, high));
        sum = vaddvaq_u8(sum, bytes);
        vstrwq_p_u32(&words[done], vreinterpretq_u32_u8(bytes), vctp32q(left));
    }
    return sum;
}
