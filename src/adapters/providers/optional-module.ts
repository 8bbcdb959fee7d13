/** Loads a library that only some installations need; says what to install where it is missing. */
export async function optionalModule<T>(name: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND')
      throw new Error(`the package ${name} is needed for this; install it: npm install ${name}`, { cause: error })
    throw error
  }
}
