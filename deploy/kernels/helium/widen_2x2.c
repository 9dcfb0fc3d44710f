BB_KERNEL uint32_t bb_widen_2x2(const uint8_t *codes, uint32_t groups, uint32_t *words, uint32_t columns)
{
    uint32_t sum = 0u;
    (void)columns;
    for (uint32_t done = 0u; done < groups; done += 4u) {
        const uint32_t left = groups - done;
        const uint32x4_t packed = vldrbq_z_u32(&codes[done], vctp32q(left));
        const uint32x4_t first = vandq_u32(vshlq_n_u32(packed, 6), vdupq_n_u32(0x000000C0u));
        const uint32x4_t second = vandq_u32(vshlq_n_u32(packed, 12), vdupq_n_u32(0x0000C000u));
        const uint32x4_t third = vandq_u32(vshlq_n_u32(packed, 18), vdupq_n_u32(0x00C00000u));
        const uint32x4_t fourth = vshlq_n_u32(packed, 24);
        const uint32x4_t above = vandq_u32(fourth, vdupq_n_u32(0xC0000000u));
        const uint32x4_t groups_of_4 = vorrq_u32(vorrq_u32(first, second), vorrq_u32(third, above));
        sum = vaddvaq_u8(sum, vreinterpretq_u8_u32(groups_of_4));
        vstrwq_p_u32(&words[done], groups_of_4, vctp32q(left));
    }
    return sum;
}
