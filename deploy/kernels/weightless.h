/* Inline functions of the layers without weights. */

/* ---- Requantization of a code: clamp(z_y + floor((q - z_x) * m / 2^n + 1/2), 0, top), n from 22 to 46 ---- */

/* The code is found as one of 8 bits, of which the upper b_y are kept: e = 8 - b_y. Rounding down twice is rounding
   down once, and half of 2^n is a multiple of 2^16, so that the lower 16 bits of the product do not matter. */
typedef struct {
    int32_t multiplier, half; /* half of 2^(n - 16) */
    uint32_t shift;           /* n - 16 - e */
    int32_t input_zero_point, output_zero_point; /* of the output: shifted left by e */
    uint32_t kept;            /* mask of the upper b_y bits of 8 */
    uint32_t is_copy;         /* 1: the bits and the codes stay as they are */
} bb_scale;

BB_INLINE bb_scale bb_scale_of(int32_t multiplier, uint32_t shift, uint32_t input_zero_point, uint32_t input_bits,
                               uint32_t output_zero_point, uint32_t output_bits)
{
    const uint32_t narrowing = 8u - output_bits;
    bb_scale scale;
    scale.multiplier = multiplier;
    scale.half = (int32_t)(1u << (shift - 17u));
    scale.shift = shift - 16u - narrowing;
    scale.input_zero_point = (int32_t)input_zero_point;
    scale.output_zero_point = (int32_t)(output_zero_point << narrowing);
    scale.kept = 0x100u - (1u << narrowing);
    scale.is_copy = ((shift < 31u) && (multiplier == (int32_t)(1u << shift)) && (input_bits == output_bits) &&
                     (input_zero_point == output_zero_point))
                        ? 1u
                        : 0u;
    return scale;
}

/* Returns the code of 8 bits, whose upper b_y bits are the code. */
BB_INLINE uint32_t bb_rescaled_8(const bb_scale *scale, uint32_t code)
{
    const int32_t product =
        bb_multiply_high(scale->multiplier, (int32_t)code - scale->input_zero_point, scale->half);
    return bb_saturate((product >> scale->shift) + scale->output_zero_point);
}

/* ---- Moving codes ---- */

/* Copies bytes, four at a time if both addresses allow it. */
BB_INLINE void bb_copy_bytes(uint8_t *to, const uint8_t *from, uint32_t count)
{
    uint32_t left = count;
    if ((((uintptr_t)to | (uintptr_t)from) & 3u) == 0u) {
        for (; left >= 4u; left -= 4u) {
            *(uint32_t *)(void *)to = *(const uint32_t *)(const void *)from;
            to = &to[4];
            from = &from[4];
        }
    }
    for (; left != 0u; left--) {
        *to = *from;
        to = &to[1];
        from = &from[1];
    }
}

/* Writes `count` codes (1 or more) of an input, the first of which starts on a byte, rescaled, to the codes `first`,
   `first` + 1, ... of the output. */
BB_INLINE void bb_move_codes(const bb_scale *scale, uint8_t *to, uint32_t first, uint32_t to_bits, const uint8_t *from,
                             uint32_t from_bits, uint32_t count)
{
    const uint32_t at = (first * to_bits) & 7u;
    const uint8_t *next = from;
    uint8_t *output = &to[(first * to_bits) >> 3];
    uint32_t left = count;
    if ((scale->is_copy != 0u) && (at == 0u)) {
        bb_copy_bytes(output, next, bb_pixel_bytes(count, to_bits)); /* also the zeros after the last code */
    } else if ((from_bits & to_bits) == 8u) {
        do {
            *output = (uint8_t)bb_rescaled_8(scale, *next);
            next = &next[1];
            output = &output[1];
            left--;
        } while (left != 0u);
    } else {
        const uint32_t mask = (1u << from_bits) - 1u;
        /* A bit above the codes of a byte shows when all have been read (at bit 0) or written (at bit 8). Codes enter
           a byte of the output from above. */
        uint32_t codes = 1u;
        uint32_t byte = (((uint32_t)*output & ((1u << at) - 1u)) | 0x100u) << (8u - at);
        do {
            if (codes == 1u) {
                codes = *next | 0x100u;
                next = &next[1];
            }
            byte = (byte >> to_bits) | (bb_rescaled_8(scale, codes & mask) & scale->kept);
            codes >>= from_bits;
            left--;
            if (((byte & 0x100u) != 0u) || (left == 0u)) {
                while ((byte & 0x100u) == 0u) { /* zeros after the last code */
                    byte >>= to_bits;
                }
                *output = (uint8_t)byte;
                output = &output[1];
                byte = 0x10000u;
            }
        } while (left != 0u);
    }
}

/* ---- Windows of pools ---- */

typedef struct {
    uint32_t begin, end;
} bb_range;

/* Returns the rows (or columns) of the image that a window covers which starts at `start` of the padded image. */
BB_INLINE bb_range bb_range_of(uint32_t start, uint32_t padding, uint32_t kernel, uint32_t extent)
{
    const uint32_t end = start + kernel;
    bb_range range;
    range.begin = (start > padding) ? (start - padding) : 0u;
    range.end = (end > padding) ? (end - padding) : 0u;
    range.begin = (range.begin < extent) ? range.begin : extent;
    range.end = (range.end < extent) ? range.end : extent;
    return range;
}
