// A town of 900 by 320 metres, made up: blocks, a river, a park, and a way to walk.

export const WIDTH = 900;
export const HEIGHT = 320;

const AVENUES = [70, 180, 300, 410, 520, 640, 760, 850];
const STREETS = [95, 155, 215, 275];

/* Corners of a walk along the streets, round and round. */
const WALK = [[70, 95], [180, 95], [180, 155], [410, 155], [410, 95], [640, 95], [640, 215], [760, 215], [760, 275], [520, 275], [520, 215], [300, 215], [300, 275], [70, 275], [70, 95]];
const PACE = 11; // metres a second: they are in a hurry

/** Where somebody is who has walked so long. @param {number} seconds */
export function stroll(seconds) {
  const lengths = WALK.slice(1).map(([x, y], i) => Math.hypot(x - WALK[i][0], y - WALK[i][1]));
  const all = lengths.reduce((sum, length) => sum + length, 0);
  let left = (seconds * PACE) % all;
  let leg = 0;
  while (left > lengths[leg]) left -= lengths[leg++];
  const part = left / lengths[leg];
  const [[x, y], [toX, toY]] = [WALK[leg], WALK[leg + 1]];
  return { x: x + (toX - x) * part, y: y + (toY - y) * part };
}

function paintBlocks(context, colour) {
  const xs = [-20, ...AVENUES, WIDTH + 20];
  const ys = [-20, ...STREETS, HEIGHT + 20];
  context.fillStyle = colour('--town-block');
  for (let i = 1; i < xs.length; i++)
    for (let j = 1; j < ys.length; j++) {
      const [x, y, width, height] = [xs[i - 1] + 8, ys[j - 1] + 8, xs[i] - xs[i - 1] - 16, ys[j] - ys[j - 1] - 16];
      const split = 0.35 + ((i * 31 + j * 17) % 30) / 100;
      context.beginPath();
      context.roundRect(x, y, width * split - 3, height, 4);
      context.roundRect(x + width * split + 3, y, width * (1 - split) - 3, height, 4);
      context.fill();
    }
}

function paintPark(context, colour) {
  context.fillStyle = colour('--town-park');
  context.beginPath();
  context.roundRect(190, 165, 210, 40, 12);
  context.fill();
  context.fillStyle = colour('--town-tree');
  for (let i = 0; i < 16; i++) {
    context.beginPath();
    context.arc(204 + ((i * 53) % 186), 173 + ((i * 29) % 24), 4 + (i % 3), 0, 7);
    context.fill();
  }
}

function paintRiver(context, colour) {
  context.strokeStyle = colour('--town-river');
  context.lineWidth = 34;
  context.beginPath();
  context.moveTo(560, -30);
  context.bezierCurveTo(610, 90, 540, 150, 590, 230);
  context.bezierCurveTo(620, 280, 700, 290, 690, 380);
  context.stroke();
  context.strokeStyle = colour('--town-street');
  context.lineWidth = 9;
  context.beginPath();
  for (const y of STREETS) {
    context.moveTo(530, y);
    context.lineTo(720, y);
  }
  context.stroke();
}

/** @param {CanvasRenderingContext2D} context @param {(name: string) => string} colour of the page */
export function paintTown(context, colour) {
  context.fillStyle = colour('--town-street');
  context.fillRect(-400, -400, WIDTH + 800, HEIGHT + 800);
  paintBlocks(context, colour);
  paintPark(context, colour);
  paintRiver(context, colour);
}
