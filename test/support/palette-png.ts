import { crc32, deflateSync } from 'node:zlib';
import type { Page } from 'playwright-core';

const COLOURS = 24;

/** Number of the most frequent colours, such as backgrounds, that stay even if they differ little. */
const EXACT_COLOURS = 12;

/**
 * Returns an expression that reduces a picture to its most frequent colours, which differ visibly. Runs in the browser.
 *
 * @param png base64
 */
const quantize = (png: string): string => `(async () => {
  const image = new Image();
  image.src = 'data:image/png;base64,${png}';
  await image.decode();
  const { width, height } = image;
  const context = Object.assign(document.createElement('canvas'), { width, height }).getContext('2d');
  context.drawImage(image, 0, 0);
  const pixels = new Uint32Array(context.getImageData(0, 0, width, height).data.buffer);
  const counts = new Map();
  for (const pixel of pixels) counts.set(pixel, (counts.get(pixel) ?? 0) + 1);
  const distance = (a, b) => [0, 8, 16].reduce((sum, shift) => sum + (((a >> shift) & 255) - ((b >> shift) & 255)) ** 2, 0);
  const palette = [];
  for (const [colour] of [...counts].sort((a, b) => b[1] - a[1]))
    if (palette.length < ${EXACT_COLOURS} || (palette.length < ${COLOURS} && palette.every((other) => distance(colour, other) > 900)))
      palette.push(colour);
  const nearest = new Map();
  for (const colour of counts.keys())
    nearest.set(colour, palette.reduce((best, other, index) => distance(colour, other) < distance(colour, palette[best]) ? index : best, 0));
  return {
    width,
    height,
    palette: palette.map((colour) => [colour & 255, (colour >> 8) & 255, (colour >> 16) & 255]),
    rows: Array.from({ length: height }, (_, y) =>
      String.fromCharCode(...pixels.subarray(y * width, (y + 1) * width).map((pixel) => nearest.get(pixel)))),
  };
})()`;

/** Takes a picture of the upper part of a page, as a small PNG with a palette. */
export async function palettePng(page: Page): Promise<Buffer> {
  const { width: pageWidth = 0 } = page.viewportSize() ?? {};
  const screenshot = await page.screenshot({ clip: { x: 0, y: 0, width: pageWidth, height: 800 } });
  // The content security policy of the page allows no images.
  const blank = await page.context().newPage();
  const { width, height, palette, rows } = await blank.evaluate<{
    width: number;
    height: number;
    palette: number[][];
    rows: string[];
  }>(quantize(screenshot.toString('base64')));
  await blank.close();
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  // Eight bits for each index of the palette.
  header.set([8, 3, 0, 0, 0], 8);
  // Each row starts with its filter: none.
  const data = Buffer.concat(rows.map((row) => Buffer.from(`\0${row}`, 'latin1')));
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', header),
    chunk('PLTE', Buffer.from(palette.flat())),
    chunk('IDAT', deflateSync(data, { level: 9, memLevel: 9 })),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const frame = Buffer.alloc(8);
  frame.writeUInt32BE(data.length, 0);
  frame.writeUInt32BE(crc32(body), 4);
  return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
}
