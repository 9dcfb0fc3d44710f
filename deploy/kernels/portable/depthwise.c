BB_KERNEL void bb_depthwise(const void *layer, uint8_t *arena)
{
    bb_depthwise_layer_run((const bb_depthwise_layer *)layer, arena, 0u);
}
