/* Scratch: less than that of the DSP level, which is reserved at all levels. */
BB_KERNEL void bb_depthwise_3x3(const void *layer, uint8_t *arena)
{
    bb_depthwise_layer_run((const bb_depthwise_layer *)layer, arena, 1u);
}
