/* Compares the kernels of the level of this core with the portable ones (prefix ref_), on random layers that are drawn
   here. Writes the number of layers and of differences, and the first layer that differs. */
#include "chip.h"
#include "kernels.h"
#include "ref_kernels.h"

enum { MOST_ROWS = 11, MOST_WORDS = 500, MOST_CODES = 2000, GUARD = 0xA5 };

typedef uint32_t (*widen)(const uint8_t *codes, uint32_t groups, uint32_t *words, uint32_t columns);

static uint32_t state = SEED;
static uint32_t weights[MOST_ROWS * MOST_WORDS], constants[MOST_ROWS];
static uint32_t words[2][MOST_CODES], sums[2][2];
static uint8_t codes[2][MOST_CODES + 4], outputs[2][2 * MOST_ROWS + 5], zero_points[MOST_ROWS];
static uint32_t layers, differences;

static uint32_t draw(uint32_t range)
{
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return (uint32_t)(((uint64_t)state * range) >> 32);
}

static uint32_t largest_or_random(uint32_t kind, uint32_t range)
{
    return kind == 0u ? 0u : kind == 1u ? range - 1u : draw(range);
}

static void report(const char *what, uint32_t bits, uint32_t columns, uint32_t rows, uint32_t count)
{
    if (differences++ == 0u) {
        chip_write(what);
        chip_write(" bits ");
        chip_write_number(bits);
        chip_write(" columns ");
        chip_write_number(columns);
        chip_write(" rows ");
        chip_write_number(rows);
        chip_write(" count ");
        chip_write_number(count);
        chip_write("\n");
    }
}

/* Columns of random codes that start anywhere, by kernel and reference; each level has its own format of them. `all_groups`: with
   those after the last code. */
static void columns_of(uint32_t input_bits, uint32_t groups, uint32_t all_groups, uint32_t columns, uint32_t is_pair)
{
    static const widen kernels[3] = {bb_widen_8, bb_widen_4, bb_widen_2};
    static const widen references[3] = {ref_widen_8, ref_widen_4, ref_widen_2};
    const uint32_t at = input_bits == 8u ? 0u : input_bits == 4u ? 1u : 2u;
    const uint32_t kind = draw(8u);
    for (uint32_t c = 0u; c < columns; c++) {
        const uint32_t start = draw(4u);
        for (uint32_t i = 0u; i < groups * input_bits / 2u; i++) {
            codes[0][start + i] = (uint8_t)largest_or_random(kind, 256u);
        }
        sums[0][c] = (is_pair ? bb_widen_2x2 : kernels[at])(&codes[0][start], groups, &words[0][BB_COLUMN_WORDS(all_groups) * c], columns);
        sums[1][c] = references[at](&codes[0][start], groups, &words[1][2u * c], columns);
        if (sums[0][c] != sums[1][c]) {
            report(is_pair ? "widen_2x2" : "widen", input_bits, columns, c, groups);
        }
    }
}

static void check_dot(void)
{
    static const bb_dot kernels[2][4] = {{bb_dot1_8, bb_dot1_4, bb_dot1_2, bb_dot1_2x2},
                                         {bb_dot2_8, bb_dot2_4, bb_dot2_2, bb_dot2_2x2}};
    static const ref_dot references[2][4] = {{ref_dot1_8, ref_dot1_4, ref_dot1_2, ref_dot1_2},
                                             {ref_dot2_8, ref_dot2_4, ref_dot2_2, ref_dot2_2}};
    const uint32_t columns = 1u + draw(2u);
    const uint32_t form = draw(4u);
    const uint32_t bits = form == 3u ? 2u : 8u >> form;
    const uint32_t input_bits = form == 3u ? 2u : 8u >> draw(3u);
    const uint32_t per_word = 32u / bits;
    const uint32_t limit = (draw(8u) == 0u ? MOST_CODES / columns : 100u) / per_word;
    const uint32_t row_words = 1u + draw(limit);
    const uint32_t used = row_words * per_word / 4u - draw(per_word / 4u); /* groups of codes; the rest has weight 0 */
    const uint32_t rows = 1u + draw(MOST_ROWS);
    const uint32_t stride = MOST_ROWS + draw(4u);
    const uint32_t kind = draw(6u);
    for (uint32_t i = 0u; i < 2u * MOST_CODES; i++) {
        (&words[0][0])[i] = state * i;
    }
    columns_of(input_bits, used, row_words * per_word / 4u, columns, form == 3u);
    for (uint32_t row = 0u; row < rows; row++) {
        const uint32_t is_alone = (row == (rows & ~1u)) ? 1u : 0u;
        for (uint32_t word = 0u; word < row_words; word++) {
            uint32_t value = kind == 0u ? 0u : kind == 1u ? 0xFFFFFFFFu : (draw(65536u) << 16) | draw(65536u);
            for (uint32_t field = 0u; field < per_word; field++) { /* fields of codes after the last group */
                const uint32_t half = field / (per_word / 2u), inside = field % (per_word / 2u);
                const uint32_t code = 4u * (inside / 2u) + 2u * half + inside % 2u;
                if (word * per_word + code >= 4u * used) {
                    value &= ~(((1u << bits) - 1u) << (field * bits));
                }
            }
            weights[(row & ~1u) * row_words + (is_alone ? word : 2u * word + (row & 1u))] = value;
        }
        constants[row] = kind == 2u ? 0x80008000u : kind == 3u ? 0x7FFF7FFFu : (draw(65536u) << 16) | draw(65536u);
        zero_points[row] = (uint8_t)largest_or_random(draw(4u), 256u);
    }
    const uint32_t shift = 1u + draw(16u), zero_point = draw(256u);
    const bb_rows kernel = {
        weights, constants, draw(2u) ? zero_points : NULL, (int32_t)((zero_point << shift) + (1u << (shift - 1u))),
        (uint16_t)rows, (uint16_t)row_words, (uint8_t)largest_or_random(draw(4u), 256u), (uint8_t)draw(17u),
        (uint8_t)shift, 0u};
    const ref_rows reference = {kernel.weights, kernel.constants, kernel.zero_points, kernel.addend,
                                kernel.rows, kernel.row_words, kernel.zero_point, kernel.offset_shift,
                                kernel.shift, 0u};
    for (uint32_t i = 0u; i < sizeof outputs; i++) {
        (&outputs[0][0])[i] = GUARD;
    }
    kernels[columns - 1u][form](&kernel, words[0], sums[0], outputs[0], stride);
    references[columns - 1u][form](&reference, words[1], sums[1], outputs[1], stride);
    for (uint32_t i = 0u; i < sizeof outputs[0]; i++) {
        if (outputs[0][i] != outputs[1][i]) {
            report(form == 3u ? "dot_2x2" : "dot", bits, columns, rows, row_words);
            break;
        }
    }
}

static void check_pack(void)
{
    const uint32_t count = 1u + draw(40u), is_four = draw(2u), start = draw(4u);
    for (uint32_t i = 0u; i < count; i++) {
        codes[0][start + i] = (uint8_t)(draw(2u) ? draw(256u) : draw(20u));
    }
    for (uint32_t i = 0u; i < sizeof outputs; i++) {
        (&outputs[0][0])[i] = GUARD;
    }
    (is_four ? bb_pack_4 : bb_pack_2)(&codes[0][start], count, outputs[0]);
    (is_four ? ref_pack_4 : ref_pack_2)(&codes[0][start], count, outputs[1]);
    for (uint32_t i = 0u; i < sizeof outputs[0]; i++) {
        if (outputs[0][i] != outputs[1][i]) {
            report("pack", is_four ? 4u : 2u, 0u, 0u, count);
            break;
        }
    }
}

int main(void)
{
    for (layers = 0u; layers < LAYERS; layers++) {
        check_dot();
        check_pack();
    }
    chip_write("layers ");
    chip_write_number(layers);
    chip_write("\ndifferences ");
    chip_write_number(differences);
    chip_write("\n");
    return differences != 0u;
}
